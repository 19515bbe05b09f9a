/*
 * upgrade.h - how a running nexthop-master and the one that takes its place
 * speak to each other.
 *
 * The running master starts the executable of its own path with its listening
 * sockets and a line to it.  The new one starts its agents, then says there
 * that it is ready, or what is wrong; then it goes, and nothing has changed.
 * Once it is ready the old one says yes, accepts nothing more, tells its
 * submitters and doors (DRAIN), finishes what they have, and ends.  Until that
 * yes the sockets' paths are the old one's: who is told to end, because its
 * time is over, leaves them alone.
 *
 * What the new one is told by its environment: UPGRADE_ENV is the letters of
 * its sockets, which begin at descriptor UPGRADE_FIRST_FD: "o" is the old
 * master's own, "g" was given to that by systemd.  The line is UPGRADE_LINE_FD,
 * a socket; older masters have a pipe there, and say no yes.  On it come
 * texts for the operator, then a NUL and the exit status; back comes one byte.
 */
#ifndef MASTER_UPGRADE_H
#define MASTER_UPGRADE_H

#include "base/process.h"
#include "master.h"

#define UPGRADE_ENV		"NEXTHOP_UPGRADE"
#define UPGRADE_LINE_FD		3
#define UPGRADE_FIRST_FD	4
#define UPGRADE_SOCKETS_MAX	(PROCESS_FDS_MAX - UPGRADE_FIRST_FD)

#endif
