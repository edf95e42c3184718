-- Instants are microseconds since 1970 UTC. Secrets are kept as hashes only.
CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE user(
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password TEXT NOT NULL,              -- argon2id
    disabled INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    last_login INTEGER
) STRICT;

CREATE TABLE token(
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,                  -- session user agent ci
    hash TEXT NOT NULL,                  -- hex SHA-256 of a 256-bit secret
    owner TEXT NOT NULL,                 -- user who made it
    role TEXT,                           -- NULL: enrols agents
    note TEXT NOT NULL DEFAULT '',
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    last_used INTEGER,
    uses_left INTEGER,
    revoked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX token_owner ON token(owner);

CREATE TABLE agent(
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    machine_id TEXT,
    version TEXT NOT NULL,
    kernel TEXT,
    tier TEXT,
    address TEXT,
    token TEXT NOT NULL,                 -- it enrolled with
    enrolled INTEGER NOT NULL,
    last_seen INTEGER,
    serial TEXT NOT NULL,                -- newest certificate
    serial_used INTEGER NOT NULL DEFAULT 0,
    certificate_expires INTEGER NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0,
    cloned INTEGER NOT NULL DEFAULT 0,
    silent INTEGER NOT NULL DEFAULT 0,   -- was told so
    seq INTEGER NOT NULL DEFAULT 0,      -- last event stored
    lost INTEGER NOT NULL DEFAULT 0,     -- events that never came, by the numbers
    reported INTEGER NOT NULL DEFAULT 0, -- events the agent says it lost
    config_revision TEXT,
    policy_revision TEXT,
    intel_revision TEXT,
    status TEXT,
    status_time INTEGER
) STRICT;

-- Every certificate ever issued to an agent: only these are taken.
CREATE TABLE certificate(
    serial TEXT PRIMARY KEY,
    agent TEXT NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE policy(
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    time INTEGER NOT NULL,
    author TEXT NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    deleted INTEGER NOT NULL DEFAULT 0,
    text TEXT NOT NULL,
    PRIMARY KEY(kind, name, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE image(
    id TEXT PRIMARY KEY,                 -- sha256:HEX
    first_seen INTEGER NOT NULL,
    scanned INTEGER,
    source TEXT,                         -- agent:ID ci:TOKEN user:NAME
    report BLOB,                         -- zstd
    report_size INTEGER,
    allow INTEGER,
    verdict TEXT,
    valid_until INTEGER
) STRICT;

CREATE TABLE image_name(
    name TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE,
    seen INTEGER NOT NULL,
    PRIMARY KEY(name, image)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_name_image ON image_name(image);

CREATE TABLE container(
    agent TEXT NOT NULL REFERENCES agent(id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    image TEXT NOT NULL,
    body TEXT NOT NULL,                  -- as in the agent's status
    PRIMARY KEY(agent, id)
) STRICT, WITHOUT ROWID;

-- What events are about, once: few rows, so that events carry and index one small number.
CREATE TABLE subject(
    id INTEGER PRIMARY KEY,
    agent TEXT NOT NULL,
    host TEXT NOT NULL,
    container TEXT NOT NULL,             -- 64 hex digits, '' for the host
    name TEXT NOT NULL,
    image TEXT NOT NULL,
    UNIQUE(agent, host, container, name, image)
) STRICT;
CREATE INDEX subject_name ON subject(name);
CREATE INDEX subject_image ON subject(image);
CREATE INDEX subject_container ON subject(container);

CREATE TABLE event(
    id INTEGER PRIMARY KEY,              -- order of arrival: the cursor
    subject INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    severity INTEGER NOT NULL,           -- 0 info .. 4 critical
    type TEXT NOT NULL,
    control TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    line TEXT NOT NULL
) STRICT;
CREATE INDEX event_subject ON event(subject);
CREATE INDEX event_time ON event(time);
CREATE INDEX event_alert ON event(severity) WHERE severity >= 2;
CREATE INDEX event_control ON event(control) WHERE control <> 'none';

-- Who did what here: each row holds the hash of the one before.
CREATE TABLE audit(
    id INTEGER PRIMARY KEY,
    body TEXT NOT NULL,                  -- canonical JSON
    prev TEXT NOT NULL,
    hash TEXT NOT NULL                   -- hex SHA-256 of prev, newline, body
) STRICT;
