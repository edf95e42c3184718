#!/bin/sh
# Scan one image in a pipeline and keep the reports. Exit: 0 allow, 1 deny, 2 wrong usage, 3 the scan failed.
#
#   IMAGE            what to scan: docker:NAME, oci:DIR, archive:FILE, registry:HOST/NAME... (bulkhead scan --help)
#   BULKHEAD_POLICY  policy file or folder           (default policies/ when it is there)
#   BULKHEAD_INTEL   intel database, BULKHEAD_INTEL_KEY its public key
#   BULKHEAD_KEY     ed25519 private key file: the verdict is signed, for the gate of the hosts (attesters)
#   BULKHEAD_FAIL_ON severity from which on a vulnerability fails the job without a policy
#   REPORTS          folder for the reports          (default bulkhead-reports)
set -eu
: "${IMAGE:?is what to scan, for example docker:app:1}"
reports=${REPORTS:-bulkhead-reports}
policy=${BULKHEAD_POLICY:-}
[ -n "$policy" ] || { [ ! -d policies ] || policy=policies; }
mkdir -p "$reports"
set -- "$IMAGE" --format table
[ -z "$policy" ] || set -- "$@" --policy "$policy"
[ -z "${BULKHEAD_INTEL:-}" ] || set -- "$@" --intel "$BULKHEAD_INTEL"
[ -z "${BULKHEAD_INTEL_KEY:-}" ] || set -- "$@" --intel-key "$BULKHEAD_INTEL_KEY"
[ -z "${BULKHEAD_FAIL_ON:-}" ] || set -- "$@" --fail-on "$BULKHEAD_FAIL_ON"
[ -z "${BULKHEAD_KEY:-}" ] || set -- "$@" --sign "$BULKHEAD_KEY" --attest "$reports/verdict.json"
exec bulkhead scan "$@" --report "sarif=$reports/scan.sarif" --report "junit=$reports/junit.xml" \
    --report "cyclonedx=$reports/sbom.cdx.json" --report "html=$reports/report.html"
