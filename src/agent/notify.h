/* notify: tells the service manager (sd_notify protocol, a datagram to $NOTIFY_SOCKET); nothing without one. */
#ifndef BULKHEAD_AGENT_NOTIFY_H
#define BULKHEAD_AGENT_NOTIFY_H

void notify_ready(void);
void notify_stopping(void);

#endif
