/* REPORT_FORMAT(name, function, what it is for) */
REPORT_FORMAT(table, report_table, "for people")
REPORT_FORMAT(json, report_json, "everything (api/scan-report.schema.json)")
REPORT_FORMAT(tsv, report_tsv, "for scripts")
REPORT_FORMAT(cyclonedx, report_cyclonedx, "CycloneDX 1.6 JSON")
REPORT_FORMAT(spdx, report_spdx, "SPDX 2.3 JSON, packages only")
REPORT_FORMAT(sarif, report_sarif, "SARIF 2.1.0, for code scanning")
REPORT_FORMAT(junit, report_junit, "JUnit XML, for pipelines")
REPORT_FORMAT(html, report_html, "one page, for a browser")
