/* drmgr: own */ ALTER AUTHORIZATION ON DATABASE::[his] TO [sa]
