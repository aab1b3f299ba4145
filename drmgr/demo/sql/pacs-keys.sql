-- Keys, references and indexes of the PACS index: made after the rows, which is far faster.
ALTER TABLE imaging_request ADD PRIMARY KEY (id), ADD UNIQUE (accession_no);
ALTER TABLE study ADD PRIMARY KEY (id), ADD UNIQUE (study_uid), ADD FOREIGN KEY (request_id) REFERENCES imaging_request;
ALTER TABLE series ADD PRIMARY KEY (id), ADD UNIQUE (series_uid), ADD FOREIGN KEY (study_id) REFERENCES study;
ALTER TABLE image ADD PRIMARY KEY (id), ADD UNIQUE (sop_instance_uid), ADD UNIQUE (path),
    ADD FOREIGN KEY (series_id) REFERENCES series;
ALTER TABLE report ADD PRIMARY KEY (id), ADD FOREIGN KEY (study_id) REFERENCES study;
CREATE INDEX study_studied_at ON study (studied_at);
CREATE INDEX image_series ON image (series_id);
