/* PROBE(id): streaming looks at file content, see probe.h; each is a `const struct probe probe_ID` in scan/probe_ID.c.
 * A change of what one gives raises LAYER_VERSION. */
PROBE(checks)
PROBE(secrets)
PROBE(programs)
PROBE(malware)
