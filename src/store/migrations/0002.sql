-- Which packages a report names, as hashes (scan/rescan.h): whether newer intel concerns it is seen without reading it.
ALTER TABLE image ADD COLUMN package_keys BLOB;
-- Since when an image runs: grace counts from there. NULL: the container does not run.
ALTER TABLE container ADD COLUMN image_id TEXT;
ALTER TABLE container ADD COLUMN running_since INTEGER;
CREATE INDEX container_image_id ON container(image_id);
