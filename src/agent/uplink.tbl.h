/* UPLINK_PHASE(id, what it means): where the line to the console stands. Nothing here switches enforcement off. */
UPLINK_PHASE(starting, "the uplink process is starting")
UPLINK_PHASE(enrolling, "asking for a certificate with the enrolment token")
UPLINK_PHASE(online, "connected")
UPLINK_PHASE(away, "the console cannot be reached; events wait on disk")
UPLINK_PHASE(refused, "the console refuses this agent: token or certificate; a new token is needed")
UPLINK_PHASE(cloned, "another host uses the same identity; a person must decide in the console")
