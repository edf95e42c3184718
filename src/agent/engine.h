/* engine: `bulkhead-agent engine enable|disable`: puts the gate into a Docker engine's configuration and takes it out
 * again (gate/register.h does it, this reads the options). Returns the exit code. argv[0] is "engine". */
#ifndef BULKHEAD_AGENT_ENGINE_H
#define BULKHEAD_AGENT_ENGINE_H

int engine_main(int argc, char **argv);

#endif
