/*
 * intake-lmtp - takes mail by LMTP (RFC 2033) and hands it to nexthop-master,
 * one reply for each recipient.  All of it is in common/intake/.
 */
#include "intake/intake.h"

int
main(int argc, char **argv)
{
	return intake_main(argc, argv);
}
