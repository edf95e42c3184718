/* SPOOL_KIND(id, method, path below the agents' address): what documents there are and where they go. */
SPOOL_KIND(status, "PUT", "/agent/v1/status")
SPOOL_KIND(report, "POST", "/agent/v1/reports")
