/* trace.h - the dialogue of a transfer, for --trace and transcripts. */
#ifndef HTTP_TRACE_H
#define HTTP_TRACE_H

struct easy;

/* Before a transfer that is set up: whether its dialogue is shown. */
void	 trace_choose(struct easy *);

#endif
