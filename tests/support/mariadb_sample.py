"""A database that holds one of everything a hospital's MariaDB may hold."""

ACCOUNTS = """
CREATE OR REPLACE ROLE nurse;
CREATE OR REPLACE USER his_app@'10.%' IDENTIFIED BY 'a;b''c' REQUIRE SSL WITH MAX_USER_CONNECTIONS 7;
CREATE OR REPLACE USER his_owner@localhost IDENTIFIED BY 'o' PASSWORD EXPIRE INTERVAL 90 DAY;
CREATE OR REPLACE USER `收 费`@`%` IDENTIFIED BY 'x' ACCOUNT LOCK;
GRANT nurse TO his_app@'10.%' WITH ADMIN OPTION;
SET DEFAULT ROLE nurse FOR his_app@'10.%';
GRANT ALL ON elsewhere.* TO his_owner@localhost;
GRANT FILE ON *.* TO `收 费`@`%`;
"""

SCHEMA = """
CREATE TABLE patient (
  id int PRIMARY KEY AUTO_INCREMENT, name varchar(100) NOT NULL, name_key varchar(100) AS (lower(name)) PERSISTENT,
  old_name varchar(60) CHARACTER SET gbk, sex enum('女', '男', '未知') DEFAULT '未知', flags set('a', 'b', 'c'),
  code varchar(3) CHECK (code IN ('a', 'b')), born date, seen datetime(6), at timestamp(3) NULL, clock time, year year,
  weight double, small float, cost decimal(12, 4), doc json, raw blob, bits bit(11), ok boolean, place point,
  picture longblob, note longtext, t bigint unsigned, address inet6, own uuid,
  KEY patient_name (name(20)), KEY patient_t (t DESC), FULLTEXT KEY patient_note (note)
) COMMENT '患者';
CREATE TABLE charge (id bigint AUTO_INCREMENT, day date NOT NULL, patient int, amount decimal(12,2), PRIMARY KEY (id, day))
  PARTITION BY RANGE COLUMNS (day) (PARTITION p2025 VALUES LESS THAN ('2026-01-01'), PARTITION rest VALUES LESS THAN MAXVALUE);
CREATE TABLE visit (id int PRIMARY KEY, patient int, CONSTRAINT visit_patient FOREIGN KEY (patient) REFERENCES patient (id)
  ON DELETE CASCADE) ROW_FORMAT = COMPRESSED;
CREATE TABLE queue (n int);
CREATE TABLE hospital_gbk (code char(10), text varchar(200)) DEFAULT CHARSET gbk;
CREATE TABLE `odd ``name` (`select` int, `空 格` text);
CREATE TABLE `空` (n int) COLLATE utf8mb4_bin;
CREATE SEQUENCE fresh START 500 INCREMENT 5 CACHE 10;
CREATE VIEW patient_codes AS SELECT id, name FROM {database}.patient WHERE code IN ('a', 'b') AND t > 0;
CREATE DEFINER = his_owner@localhost SQL SECURITY DEFINER VIEW of_owner AS SELECT count(*) AS n FROM charge;
CREATE TRIGGER stamp BEFORE INSERT ON patient FOR EACH ROW SET NEW.at = COALESCE(NEW.at, '2026-01-05 14:03:22.123');
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC COMMENT '两倍' RETURN n * 2;
CREATE PROCEDURE tidy(IN most int, OUT left_over int) MODIFIES SQL DATA BEGIN DELETE FROM queue LIMIT most;
  SELECT count(*) INTO left_over FROM queue; END;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2026-01-05 02:00:00' DO DELETE FROM queue;
GRANT SELECT, INSERT ON {database}.* TO his_app@'10.%';
GRANT SELECT (id, name), UPDATE (name) ON {database}.patient TO `收 费`@`%`;
GRANT EXECUTE ON PROCEDURE {database}.tidy TO nurse;
GRANT ALL ON {database}.* TO his_owner@localhost WITH GRANT OPTION;
"""

ROWS = """
INSERT INTO patient (name, old_name, sex, flags, code, born, seen, at, clock, year, weight, small, cost, doc, raw, bits, ok,
  place, picture, note, t, address, own)
SELECT concat('张三𠮷😀', seq), '张三', '男', 'a,c', 'a', date('1970-01-01') + INTERVAL seq DAY,
  timestamp('2025-12-31 08:00:00.5') + INTERVAL seq SECOND, '2026-01-05 14:03:22.123', sec_to_time(seq * 1000), 2000 + seq % 100,
  seq / 3, seq / 10, seq / 7, json_object('号', seq), unhex(md5(seq)), seq, seq % 2, point(seq, -seq / 3),
  repeat(unhex(sha2(seq, 512)), 40), concat('头痛 headache\\n\\t\\\\ ''"', seq), 18446744073709551000 - seq, '2001:db8::1', uuid()
FROM seq_1_to_300;
INSERT INTO patient (name) VALUES (''), (' '), ('tab\\there\\nline\\0zero'), ('㐀镕堃喆');
INSERT INTO charge (day, patient, amount) SELECT date('2025-11-01') + INTERVAL seq % 100 DAY, 1 + seq % 300, seq / 10
FROM seq_1_to_2000;
INSERT INTO visit SELECT seq, seq FROM seq_1_to_100;
INSERT INTO queue SELECT seq FROM seq_1_to_5;
INSERT INTO hospital_gbk VALUES ('甲', '收费处 ￥ ·—…'), ('乙 ', NULL);
INSERT INTO `odd ``name` VALUES (1, 'ß');
SELECT NEXTVAL(fresh);
"""
