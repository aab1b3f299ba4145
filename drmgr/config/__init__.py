"""The site file, jobs and drills: read, checked, explained."""
