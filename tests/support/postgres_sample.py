"""A database that holds one of everything a hospital's database may hold."""

ROLES = """
DO $$ BEGIN
  CREATE ROLE his_owner LOGIN PASSWORD 'o';
  CREATE ROLE "护士 Nurse" NOLOGIN;
  CREATE ROLE his_app LOGIN PASSWORD 'a;b''c' CONNECTION LIMIT 7 VALID UNTIL '2031-01-05 00:00:00+08';
  GRANT "护士 Nurse" TO his_app;
  GRANT his_owner TO "护士 Nurse" WITH ADMIN OPTION;
  ALTER ROLE his_app SET work_mem = '8MB';
  COMMENT ON ROLE his_app IS 'first line;
second -- line';
EXCEPTION WHEN duplicate_object THEN NULL; END $$;
"""

SCHEMA = """
CREATE EXTENSION pg_trgm;
CREATE SCHEMA ward AUTHORIZATION his_owner;
CREATE TYPE ward.sex AS ENUM ('女', '男', '未知');
CREATE DOMAIN ward.positive AS int CHECK (VALUE > 0);
CREATE TABLE patient (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL, name_key text GENERATED ALWAYS AS (lower(name)) STORED,
  sex ward.sex DEFAULT '未知', code varchar(3) CHECK (code IN ('a', 'b')), born date, seen timestamp, at timestamptz,
  weight double precision, fee money, cost numeric(12, 4), stay interval, doc jsonb, raw bytea, ok boolean,
  beds ward.positive, tags text[], t int
);
CREATE INDEX patient_name ON patient USING gin (name gin_trgm_ops);
CREATE INDEX patient_lower ON patient (lower(name)) WHERE code IN ('a', 'b');
CREATE INDEX patient_t ON patient (t);
CREATE TABLE charge (id bigserial, day date NOT NULL, patient int REFERENCES patient, amount numeric, PRIMARY KEY (day, id))
  PARTITION BY RANGE (day);
CREATE TABLE charge_2025 PARTITION OF charge FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE charge_rest PARTITION OF charge DEFAULT;
CREATE TABLE base (a int);
CREATE TABLE child (own text) INHERITS (base);
ALTER TABLE base ADD COLUMN later text;
CREATE UNLOGGED TABLE queue (n int);
CREATE TABLE "odd ""name" ("select" int, "空 格" text);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE SEQUENCE fresh START 500 INCREMENT 5;
CREATE SEQUENCE down INCREMENT -2 START -1;
CREATE VIEW patient_codes AS SELECT id, name FROM patient WHERE code IN ('a', 'b') AND t > 0;
CREATE MATERIALIZED VIEW per_day AS SELECT day, sum(amount) AS total FROM charge GROUP BY day;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := coalesce(NEW.at, now()); RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON patient FOR EACH ROW WHEN (NEW.code IN ('a', 'b')) EXECUTE FUNCTION stamp();
CREATE PROCEDURE tidy() LANGUAGE sql AS $$ DELETE FROM queue $$;
CREATE TABLE ward.restraint (id int PRIMARY KEY, keeper text);
ALTER TABLE ward.restraint ENABLE ROW LEVEL SECURITY;
ALTER TABLE ward.restraint FORCE ROW LEVEL SECURITY;
ALTER TABLE ward.restraint OWNER TO his_owner;
CREATE POLICY own ON ward.restraint TO his_app USING (keeper IN ('a', 'b'));
GRANT SELECT, INSERT ON patient TO his_app WITH GRANT OPTION;
GRANT SELECT ON ward.restraint TO PUBLIC;
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''7min''', current_database());
  EXECUTE format('ALTER ROLE his_app IN DATABASE %I SET search_path = ward, public', current_database());
END $$;
"""

ROWS = """
INSERT INTO patient (name, sex, code, born, seen, at, weight, fee, cost, stay, doc, raw, ok, beds, tags, t)
SELECT '张三𠮷😀' || n, '男', 'a', date '1970-01-01' + n, timestamp '2025-12-31 08:00' + n * interval '1 second',
  '2026-01-05 14:03:22.123456+08', n / 3.0, n::numeric::money, n / 7.0, n * interval '1 day 02:03', jsonb_build_object('号', n),
  decode(md5(n::text), 'hex'), n % 2 = 0, n, ARRAY['a', NULL, '逗,号'], n FROM generate_series(1, 300) n;
INSERT INTO patient (name) VALUES (''), (''), (E'tab\\there\\nline'), ('㐀镕堃喆');
INSERT INTO charge (day, patient, amount)
SELECT date '2025-11-01' + n % 100, 1 + n % 300, n / 10.0 FROM generate_series(1, 2000) n;
INSERT INTO child VALUES (1, 'x', 'late');
INSERT INTO base VALUES (2, 'y');
INSERT INTO queue SELECT generate_series(1, 5);
INSERT INTO "odd ""name" VALUES (1, 'ß');
INSERT INTO ward.restraint VALUES (1, 'a'), (2, 'z');
SELECT nextval('down'), nextval('down');
SELECT lo_from_bytea(990001, '\\x0102'), lo_from_bytea(990002, convert_to(repeat('影像', 400000), 'UTF8'));
REFRESH MATERIALIZED VIEW per_day;
"""
