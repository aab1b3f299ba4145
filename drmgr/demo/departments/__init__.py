"""The systems that live on what the HIS tells them. Each module has its row types, TABLES, and a Department."""
