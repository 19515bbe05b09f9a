/*
 * ehlo_name.h - the name this host gives to others: in EHLO (RFC 5321
 * §4.1.1.1), and in the header X-Ehlo of a request.
 */
#ifndef NET_EHLO_NAME_H
#define NET_EHLO_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* A name that came with a message and can be sent: 1 to 255 bytes without
 * blanks, control characters, < and >. */
bool	ehlo_name_is_sendable(const char *name);

/* For the option row: NULL, or what is wrong with the template. */
const char *ehlo_name_check(const char *template);

/*
 * The name: "{fqdn}" and "{hostname}" replaced, an address literal in
 * brackets, international labels as A-labels.  malloc()ed; NULL with a text.
 * Warns in the log about names that other hosts refuse.
 */
char	*ehlo_name(const char *template, char *error, size_t);

/* Names a server would refuse or distrust: NULL, or why. */
const char *ehlo_name_doubt(const char *name);

#endif
