USE [his]; ALTER USER [reader] WITH LOGIN = [reader]
