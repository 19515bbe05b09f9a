/* trace.h - the dialogue on stderr, secrets masked, for --trace. */
#ifndef HTTP_TRACE_H
#define HTTP_TRACE_H

#include <curl/curl.h>

void	 trace_start(CURL *);

#endif
