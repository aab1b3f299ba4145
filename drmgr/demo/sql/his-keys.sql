-- Keys, references and indexes of the HIS: made after the rows, which is far faster.
ALTER TABLE department ADD PRIMARY KEY (id);
ALTER TABLE staff ADD PRIMARY KEY (id);
ALTER TABLE ward ADD PRIMARY KEY (id), ADD FOREIGN KEY (department_id) REFERENCES department;
ALTER TABLE drug ADD PRIMARY KEY (id);
ALTER TABLE patient ADD PRIMARY KEY (id), ADD UNIQUE (record_no);
ALTER TABLE visit ADD PRIMARY KEY (id), ADD FOREIGN KEY (patient_id) REFERENCES patient,
    ADD FOREIGN KEY (department_id) REFERENCES department, ADD FOREIGN KEY (doctor_id) REFERENCES staff;
ALTER TABLE admission ADD PRIMARY KEY (id), ADD UNIQUE (visit_id), ADD FOREIGN KEY (visit_id) REFERENCES visit,
    ADD FOREIGN KEY (ward_id) REFERENCES ward;
ALTER TABLE discharge ADD PRIMARY KEY (id), ADD UNIQUE (visit_id), ADD FOREIGN KEY (visit_id) REFERENCES visit;
ALTER TABLE inpatient ADD PRIMARY KEY (visit_id), ADD UNIQUE (ward_id, bed_no), ADD FOREIGN KEY (visit_id) REFERENCES visit;
ALTER TABLE medical_order ADD PRIMARY KEY (id), ADD FOREIGN KEY (visit_id) REFERENCES visit,
    ADD FOREIGN KEY (drug_id) REFERENCES drug;
ALTER TABLE dispensing ADD PRIMARY KEY (id), ADD FOREIGN KEY (order_id) REFERENCES medical_order;
ALTER TABLE order_execution ADD PRIMARY KEY (id), ADD FOREIGN KEY (dispensing_id) REFERENCES dispensing;
ALTER TABLE stock_move ADD PRIMARY KEY (id), ADD FOREIGN KEY (drug_id) REFERENCES drug;
ALTER TABLE drug_stock ADD PRIMARY KEY (drug_id), ADD FOREIGN KEY (drug_id) REFERENCES drug;
ALTER TABLE charge ADD PRIMARY KEY (id), ADD FOREIGN KEY (visit_id) REFERENCES visit;
ALTER TABLE refund ADD PRIMARY KEY (id), ADD FOREIGN KEY (charge_id) REFERENCES charge;
ALTER TABLE payment ADD PRIMARY KEY (id), ADD FOREIGN KEY (visit_id) REFERENCES visit;
ALTER TABLE daily_settlement ADD PRIMARY KEY (business_date);
CREATE INDEX visit_patient ON visit (patient_id);
CREATE INDEX medical_order_visit ON medical_order (visit_id);
CREATE INDEX dispensing_order ON dispensing (order_id);
CREATE INDEX order_execution_order ON order_execution (order_id);
CREATE INDEX charge_visit ON charge (visit_id);
CREATE INDEX charge_business_date ON charge (business_date);
CREATE VIEW ward_census AS
    SELECT w.code, w.name, w.beds, count(i.visit_id) AS occupied
    FROM ward w LEFT JOIN inpatient i ON i.ward_id = w.id
    GROUP BY w.code, w.name, w.beds;
COMMENT ON TABLE daily_settlement IS '日结:明细 − 退费 = 净额 = 收款';
-- without it the others would be told what happened here by plans for empty tables
ANALYZE;
