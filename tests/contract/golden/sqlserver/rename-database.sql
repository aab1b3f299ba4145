/* drmgr: rename-database */ ALTER DATABASE [his] MODIFY NAME = [his_before_01kzzzzzzzzzzzzzzzzzzzzzzz]
