/*
 * master.h - what the files of nexthop-master and of the nexthop command
 * share with each other, and nobody else.
 *
 *	config		the configuration file as structs
 *	sockets		listening sockets by address
 *	spawn		fork, exec, reap
 *	child		one agent process from start to end
 *	generation	the children of one relay with one set of options
 *	rollout		start what a configuration asks for; all or nothing
 *	service		a relay: its generations, its queue, its restarts
 *	job		one delivery: its answers, its end
 *	dispatch	deliveries from submitter to child, answers back
 *	forward		deliveries that an agent hands to another relay
 *	overdue		deliveries whose agent does not answer
 *	door		a child that faces the network: an intake
 *	submit		submitters' connections
 *	control		the operator's connections
 *	logging		where the master and its agents log
 *	systemd		its sockets, its watchdog, what it wants to hear
 *	lifecycle	the start
 *	commit		a configuration takes effect
 *	reload, stop	what becomes of it later
 *	upgrade		another master takes over
 *	status		what there is, for people and programs
 *	metrics		what was counted, for Prometheus
 *	operator, sender, probe, sandbox_test, top
 *			the nexthop command's side
 *
 * LONG: what each file of the folder offers, a part for each
 */
#ifndef MASTER_H
#define MASTER_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/event.h"
#include "base/log.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "mail/frame.h"
#include "mail/reply.h"
#include "mail/tally.h"
#include "net/channel.h"
#include "net/loop.h"
#include "sockets.h"

struct child;
struct door;
struct generation;
struct job;
struct master;
struct rollout;
struct service;
struct share;
struct submitter;
struct upgrade;

#define SUBMIT_WINDOW		4096	/* open deliveries of a submitter */
#define SUBMIT_RCPTS_MAX	100000	/* open recipients of a submitter */
/* Holds SUBMIT_RCPTS_MAX answers with texts of REPLY_TEXT_MAX. */
#define SUBMIT_OUT_MAX		(256 * 1024 * 1024)
#define SUBMIT_OUT_SLOW		(256 * 1024)	/* no more reading beyond */
#define CHILD_OUT_MAX		(4 * 1024 * 1024)
#define CHILD_OUT_SLOW		(1024 * 1024)	/* counts as full beyond */
#define QUEUED_BYTES_MAX	(256 * 1024 * 1024)	/* over all relays */
#define SERVICE_NAMES_MAX	(64 * 1024 * 1024)	/* of what runs */
#define START_LIMIT_MS		20000	/* from exec to READY */
#define KILL_AFTER_MS		2000	/* from SIGTERM to SIGKILL */
#define TICK_MS			200

/* ---- config.c ---- */

struct logging_conf {		/* [master], logging.c */
	int		 target;	/* enum log_target */
	char		*file;
	char		*file_mode;
	char		*file_user;
	char		*file_group;
	int		 format;	/* enum log_format */
	int		 level;		/* enum log_level */
	char		*facility;
	char		*tag;
};

struct master_conf {		/* [master] */
	char		*socket;
	char		*socket_mode;
	char		*socket_user;
	char		*socket_group;
	char		*control;
	char		*control_mode;
	char		*agents;
	char		*user;
	char		*group;
	char		*pid_file;
	int64_t		 stop_timeout_ms;
	int64_t		 upgrade_timeout_ms;
	int64_t		 submit_timeout_ms;
	int64_t		 max_submitters;
	struct logging_conf logging;
};

enum privs { PRIVS_AUTO, PRIVS_KEPT, PRIVS_GAINED };

/* The master's own keys of [relay], [intake] and [metrics]. */
struct relay_rows {
	int		 type;
	int64_t		 processes;
	int64_t		 backlog;
	int64_t		 backlog_timeout_ms;
	int64_t		 restart_delay_max_ms;
	int64_t		 timeout_ms;	/* type custom; else 0 */
	char		*user;
	char		*group;
	int		 no_new_privs;	/* enum privs */
	/* of doors */
	struct opt_list	 listen;
	char		*listen_mode;
	char		*listen_user;
	char		*listen_group;
};

enum conf_kind { CONF_RELAY, CONF_INTAKE, CONF_METRICS };

struct relay_option {		/* what goes to the agent */
	const char	*name;		/* borrowed from the section */
	const char	*value;
	unsigned	 line;
};

struct identity {		/* whom an agent runs as */
	bool		 is_set;
	uid_t		 uid;
	gid_t		 gid;
	gid_t		*groups;	/* owned */
	int		 ngroups;
	bool		 may_gain;	/* set-user-ID programs work */
};

struct relay_conf {
	TAILQ_ENTRY(relay_conf) next;
	struct config	*config;
	enum conf_kind	 kind;
	const struct conf_section *section;
	const char	*name;
	const char	*type;		/* "static" */
	char		*program;	/* path of the executable */
	struct opts	*opts;
	const struct relay_rows *rows;
	struct relay_option *options;
	size_t		 noptions;
	struct identity	 identity;
	char		**listen;	/* of a door: its addresses */
	size_t		 nlisten;
	struct listen_socket **sockets;	/* opened, but not yet its door's */
	bool		 is_faulty;	/* not worth starting an agent for */
};

struct config {
	struct conf	*conf;
	struct opts	*opts;
	const struct master_conf *master;
	TAILQ_HEAD(, relay_conf) relays;
	unsigned	 nrelays;
	TAILQ_HEAD(, relay_conf) doors;
	unsigned	 refs;
};

extern const struct opt_table config_master_table, config_relay_table,
    config_custom_table, config_timeout_table, config_intake_table,
    config_metrics_table;

/* Always returns one; what is wrong is in config->conf->faults. */
struct config	*config_load(const char *path);
struct config	*config_ref(struct config *);
void		 config_unref(struct config *);
struct relay_conf *config_relay(const struct config *, const char *name);
struct relay_conf *config_door(const struct config *, enum conf_kind,
		    const char *name);
/* Whether the agents of one can go on serving the other. */
bool		 relay_conf_is_same(const struct relay_conf *,
		    const struct relay_conf *);
/* The file where none is named; owned by the caller. */
char		*config_default_path(void);
/* Where the agents are, malloc'ed; and which one a type of relay is, or NULL. */
char		*config_agents_folder(void);
const char	*config_type_program(const char *type, const char **preset_r);
char		*config_absolute_path(const char *);
/* The line of the n-th option sent to the agent; where n is none of them that
 * of the option that "NAME: ..." begins with, or of the section. */
unsigned	 relay_conf_line(const struct relay_conf *, int64_t n,
		    const char *text);
mode_t		 config_mode(const char *octal);

/* ---- postfix_setup.c, postfix_check.c: agents as services of Postfix ---- */

int	postfix_setup(int argc, char **argv);
int	postfix_check(int argc, char **argv);

/* ---- sandbox_test.c: the cages of all programs tried out ---- */

int	sandbox_test(int argc, char **argv);

/* ---- identity.c: users and groups by name ---- */

int	identity_resolve(struct identity *, const char *user,
	    const char *group, char *error, size_t);
void	identity_clear(struct identity *);
bool	identity_is_same(const struct identity *, const struct identity *);

/* ---- spawn.c ---- */

struct reaper;

struct process {		/* embedded in its owner */
	LIST_ENTRY(process) next;
	pid_t		 pid;		/* 0 = none */
	void		(*ended)(void *arg, int wait_status);
	void		*arg;
};

struct reaper	*reaper_new(struct loop *);
void		 reaper_free(struct reaper *);
/* One that was started elsewhere: it is told of the end. */
void		 reaper_add(struct reaper *, struct process *, pid_t);
void		 reaper_kill_all(struct reaper *, int sig);
void		 reaper_each(struct reaper *, void (*)(struct process *));
/* Before exit, all being killed: waits, but not long, until they are gone. */
void		 reaper_wait(struct reaper *);

/* What the processes of one relay share (share.h). */
struct spawn_share {
	int		 fd;		/* -1 = nothing */
	unsigned	 index;		/* of this process */
};

/*
 * Starts a program with a socket at descriptor 3; returns our end of it, or
 * -1 with a text in error: then there is no process.
 */
int		 spawn(struct reaper *, struct process *, const char *program,
		    const struct identity *, const struct spawn_share *,
		    char *error, size_t);
/* "ended by signal 9 (Killed)", "exited with status 1" */
void		 wait_status_text(int status, char *, size_t);

/* ---- child.c: one agent process ---- */

enum child_state {
	CHILD_DOWN,		/* no process; the timer may start one */
	CHILD_HELO,		/* started, HELO awaited */
	CHILD_CONFIG,		/* CONFIG sent, READY awaited */
	CHILD_READY,
	CHILD_DRAINING,		/* DRAIN sent */
	CHILD_ENDING		/* closed, ended, or being killed */
};

struct child_ops {
	void	(*ready)(struct child *);
	/* READY named a fault: option index or -1 */
	void	(*refused)(struct child *, int64_t index, const char *text);
	/* STAGE, RESULT, FORWARD, DONE of a child that is ready */
	void	(*frame)(struct child *, const struct frame *, const void *);
	/* DELIVER, CANCEL, COMMAND of one; the descriptor is the callee's.
	 * NULL: it may not send them. */
	void	(*asked)(struct child *, const struct frame *, const void *,
		    int fd);
	/* Its socket is about to be closed.  NULL: nobody wants to know. */
	void	(*closing)(struct child *);
	void	(*drained)(struct child *);	/* its socket takes more */
	/* The process is gone and all it wrote was handed out. */
	void	(*gone)(struct child *, const char *text);
};

#define SLOT_NONE	UINT32_MAX

struct slot {			/* a delivery open at a child */
	struct job	*job;		/* NULL: free */
	uint32_t	 next_free;
};

struct child {
	struct generation *gen;
	enum child_state state;
	struct process	 process;
	struct channel	*channel;	/* NULL once closed */
	struct submitter *submitter;	/* of a door that is ready, or NULL */
	struct timer	 timer;
	struct later	 finish_later;
	bool		 is_reaped;
	int		 wait_status;
	bool		 was_ready;
	bool		 is_refused;	/* READY came with faults */
	bool		 is_broken;	/* why says which rule it broke */
	char		*why;
	char		*agent;		/* from HELO */
	char		*program;
	int64_t		 started_ms;
	int64_t		 delay_ms;	/* before the next start */
	bool		 has_delivered;
	uint32_t	 window;
	bool		 may_forward;	/* its READY said so */
	bool		 takes_log;	/* its HELO said so */
	uint32_t	 open;
	uint32_t	 owed;		/* of them: answered by us (overdue.c) */
	struct slot	*slots;
	uint32_t	 nslots;	/* in use, or free in the list */
	uint32_t	 slots_size;
	uint32_t	 free_slot;	/* SLOT_NONE: all in use */
	uint32_t	 sequence;
	struct buf	 stats;		/* attributes of the last STATS */
	struct buf	 effective;	/* attributes of a READY with options */
};

void	 child_init(struct child *, struct generation *);
void	 child_clear(struct child *);	/* kills what still runs */
void	 child_start(struct child *);
void	 child_start_after(struct child *, int64_t delay_ms);
/* The pause before its next start: 1 s, doubled at each early death. */
int64_t	 child_next_delay(struct child *);
void	 child_drain(struct child *, int64_t limit_ms);
void	 child_signal(struct child *, int sig);
/* event_begin(), and which child it is about. */
bool	 child_event(struct event_line *, enum event_name,
	    const struct child *);
/* It has begun its work: who owns it says so, for one may only be asked. */
void	 child_tell_ready(const struct child *);
/* The log file was opened again: those that take it get it. */
void	 child_give_log_to_all(struct reaper *);
/* It broke a rule: nothing it says counts any more. */
void	 child_break(struct child *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
const char *child_state_name(const struct child *);
bool	 child_is_alive(const struct child *);

/* ---- generation.c ---- */

struct generation {
	TAILQ_ENTRY(generation) next;
	struct loop	*loop;
	struct reaper	*reaper;
	struct relay_conf *conf;	/* holds a reference on its config */
	const struct child_ops *ops;
	void		*owner;		/* struct rollout or struct service */
	bool		 want_options;
	bool		 is_draining;
	int64_t		 drain_limit_ms;	/* then; 0: none */
	unsigned	 number;
	unsigned	 nchildren;
	struct child	*children;
	struct share	*share;		/* with more than one child */
	int		 share_fd;
	struct sockets	*registry;	/* of a door: where its sockets are */
	struct listen_socket **sockets;	/* held */
	size_t		 nsockets;
	struct later	 free_later;
};
TAILQ_HEAD(generations, generation);

struct generation *generation_new(struct loop *, struct reaper *,
		    struct relay_conf *, unsigned nchildren,
		    const struct child_ops *, void *owner);
/* The sockets that its children listen on; what is held is the generation's
 * from now on. */
void		 generation_listen(struct generation *, struct sockets *,
		    struct listen_socket **, size_t);
/* What we hold of them is let go; its children have their own. */
void		 generation_stop_listening(struct generation *);
void		 generation_start(struct generation *);
void		 generation_drain(struct generation *, int64_t limit_ms);
unsigned	 generation_alive(const struct generation *);
void		 generation_set_conf(struct generation *, struct relay_conf *);
/* At the end of the turn; may be called from its children's callbacks. */
void		 generation_free(struct generation *);

/* ---- rollout.c ---- */

struct rollout {
	struct loop	*loop;
	struct reaper	*reaper;
	struct config	*config;	/* faults are added to its conf */
	struct generations generations;	/* taken by the owner at success */
	unsigned	 waiting;	/* children that have not decided */
	bool		 is_over;
	loop_cb		*done;
	void		*arg;
	struct later	 done_later;
};

enum { ROLLOUT_OPTIONS = 0x01, ROLLOUT_ONE_EACH = 0x02 };

/*
 * Starts agents for the relays that `wanted` names (NULL: all); done is called
 * when each is ready or has failed, faults being in the configuration.  Of
 * doors the programs are asked about their options only.
 */
struct rollout	*rollout_start(struct loop *, struct reaper *, struct config *,
		    bool (*wanted)(void *arg, const struct relay_conf *),
		    int flags, loop_cb *done, void *arg);
/* All are ready, and nothing was found wrong. */
bool		 rollout_is_good(const struct rollout *);
void		 rollout_free(struct rollout *);	/* kills what is left */

/* ---- service.c ---- */

TAILQ_HEAD(jobs, job);
TAILQ_HEAD(submitters, submitter);

struct service_metrics {	/* since the master knows the relay */
	uint64_t	 answers[REPLY_PERMANENT + 1][STAGE_RUN + 1];
	struct histogram delivery[REPLY_PERMANENT + 1];	/* by class */
	struct histogram queue;
	struct tally	 past;		/* of agents that are gone */
};

struct service {
	TAILQ_ENTRY(service) next;
	struct master	*master;
	char		*name;
	size_t		 name_len;
	struct generation *current;
	struct generations old;
	unsigned	 ngenerations;
	struct jobs	 queue;
	uint32_t	 nqueued;
	uint32_t	 nheld;		/* at submitters, for want of room */
	uint32_t	 njobs;		/* all, running ones too */
	uint64_t	 names_bytes;	/* of running ones, see job.h */
	struct submitters blocked;	/* waiting for room in the queue */
	struct jobs	 watched;	/* running, with a limit to it */
	uint32_t	 ncrowding;	/* what it forwarded and finds no room
					 * in other queues: it gets no more */
	struct later	 pump_later;
	uint64_t	 forwarded;	/* recipients, to other relays */
	uint64_t	 answers[REPLY_PERMANENT + 1];	/* by class */
	uint64_t	 restarts;
	struct service_metrics metrics;
	char		*last_error;
	int64_t		 last_error_ms;	/* wall clock */
	bool		 is_ending;	/* drains once the queue is empty */
	int64_t		 end_limit_ms;
	struct later	 free_later;
};

struct service	*service_new(struct master *, const char *name);
/* A generation whose children are ready takes over. */
void		 service_switch(struct service *, struct generation *,
		    int64_t drain_limit_ms);
/* Finish the queue and what runs, then end; no limit where it is 0. */
void		 service_end(struct service *, int64_t drain_limit_ms);
void		 service_check_end(struct service *);
/* At the end of the turn, with all its generations. */
void		 service_free(struct service *);
/* A recipient of it was answered. */
void		 service_answered(struct service *, const struct reply *,
		    int64_t since_us);
/* The ready child with the fewest open deliveries, or NULL. */
struct child	*service_pick(const struct service *);
const char	*service_trouble(const struct service *);	/* for people */
struct service	*child_service(const struct child *);

/* ---- door.c ---- */

struct door {			/* as the running master knows it */
	TAILQ_ENTRY(door) next;
	struct master	*master;
	enum conf_kind	 kind;
	char		*name;
	struct generation *current;	/* NULL: it is ending */
	struct generations old;		/* finish their sessions; but the last
					 * may be all that is ready */
	unsigned	 ngenerations;
	uint64_t	 restarts;
	uint64_t	 deliveries;
	struct tally	 past;		/* of processes that are gone */
	char		*last_error;
	int64_t		 last_error_ms;	/* wall clock */
	int64_t		 drain_limit_ms;
	struct later	 free_later;
};

const char	*conf_kind_name(enum conf_kind);	/* "relay" */
/* The sockets of a door, opened; NULL with a text and a status. */
struct listen_socket **door_open_sockets(struct sockets *,
		    const struct relay_conf *, char *error, size_t,
		    int *status_r);
struct door	*door_new(struct master *, enum conf_kind, const char *name);
/* New processes take over on these sockets as soon as they are ready. */
void		 door_switch(struct door *, struct relay_conf *,
		    struct listen_socket **, int64_t drain_limit_ms);
/* Accept nothing more, finish; no limit where it is 0.  May be called again to
 * shorten it. */
void		 door_end(struct door *, int64_t drain_limit_ms);
/* At the end of the turn, with all its processes. */
void		 door_free(struct door *);

/* ---- dispatch.c, dispatch_child.c ---- */

void	 dispatch_deliver(struct submitter *, const struct frame *,
	    const void *bytes, int fd);
void	 dispatch_cancel(struct submitter *, uint64_t id);
void	 dispatch_child_frame(struct child *, const struct frame *,
	    const void *bytes);
/* Its open deliveries are answered. */
void	 dispatch_child_gone(struct child *, const char *text);
void	 dispatch_pump(struct service *);	/* queue to children */
void	 dispatch_retry(struct submitter *);	/* what was held back */
void	 dispatch_tick(struct service *);	/* waited too long */
/* Everything that waits is answered: nexthop is stopping. */
void	 dispatch_refuse_waiting(struct master *);
/* The submitter is gone: drop what waits, cancel what runs. */
void	 dispatch_abandon(struct submitter *);

/* ---- submit.c ---- */

#define SUBMIT_BUCKETS	256

struct submitter {
	TAILQ_ENTRY(submitter) next;
	TAILQ_ENTRY(submitter) next_blocked;
	struct master	*master;
	struct channel	*channel;	/* NULL once gone */
	struct later	 gone_later;
	struct event	 ev_gone;	/* sees the end while we do not read */
	struct child	*door;		/* whose channel it is, or NULL */
	pid_t		 pid;
	uid_t		 uid;
	LIST_HEAD(, job) jobs[SUBMIT_BUCKETS];	/* by id */
	uint32_t	 nopen;
	uint32_t	 nrcpt_open;
	struct jobs	 held;		/* found no room; the first blocks */
	struct service	*blocked_on;
	struct service	*last;		/* saves looking it up */
	bool		 is_paused;
	uint64_t	 sent_total;	/* when progress was last seen */
	int64_t		 stuck_since_ms;
};

/* Deliveries that one may have open. */
uint32_t submitter_window(const struct submitter *);
/* A door that is ready submits by the channel of its process. */
struct submitter *submitter_of_door(struct master *, struct child *);
/* Its channel is gone; its deliveries go at the end of the turn. */
void	 submitter_lost(struct submitter *);
int	 submit_listen(struct master *, char *error, size_t);
void	 submit_stop_listening(struct master *);
/* Reading is paused or resumed as its state asks for. */
void	 submitter_update(struct submitter *);
/* Disconnect it; the reason is logged, NULL: there is none.  Its deliveries go at the end of the
 * turn, so any function may call this. */
void	 submitter_drop(struct submitter *, const char *why);
void	 submit_tick(struct master *);
bool	 submit_has_output(const struct master *);	/* not taken yet */

/* ---- listener.c ---- */

struct listener;

/* Of a UNIX socket at path.  An error: text and the exit status for it in
 * *status_r. */
struct listener	*listener_open(struct loop *, struct sockets *,
		    const char *path, const struct socket_look *,
		    void (*accepted)(void *arg, int fd), void *arg,
		    char *error, size_t, int *status_r);
void		 listener_pause(struct listener *, bool);
void		 listener_close(struct listener *);

/* ---- control.c ---- */

int	 control_listen(struct master *, char *error, size_t);
void	 control_stop_listening(struct master *);
void	 control_close_all(struct master *);
/* COMMAND of a door. */
void	 control_door_command(struct master *, struct child *,
	    const struct frame *);

struct control;
/* Text for the operator who asked, then the end; NULL asked nobody. */
void	 control_printf(struct control *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
void	 control_exit(struct control *, int status);

/* ---- status.c ---- */

enum status_form { STATUS_TEXT, STATUS_TSV, STATUS_JSON };
void	 status_print(const struct master *, enum status_form, struct buf *);

struct relay_sum {		/* what a relay's children come to */
	const struct generation *gen;
	uint64_t	 window, open;
	unsigned	 ready, alive;
	const char	*state;
	int64_t		 up_s;
	char		 pids[512];
};
void	 status_sum_up(const struct service *, struct relay_sum *);
void	 status_sum_up_door(const struct door *, struct relay_sum *);

/* ---- metrics.c, metrics_count.c: nexthop-metrics(7) ---- */

#define METRICS_DESTINATIONS	50	/* labels of a relay, if not told */
#define METRICS_BYTES_MAX	(3 * 1024 * 1024)	/* below CHILD_OUT_MAX */

/* All that is counted in Prometheus' text format, version 0.0.4. */
void	 metrics_print(const struct master *, unsigned ndestinations,
	    struct buf *);
/* The command "metrics" with its arguments; the exit status. */
int	 metrics_command(const struct master *, const char *const *args,
	    size_t nargs, struct buf *out);
/* Its agents' statistics, with those of agents that are gone. */
void	 metrics_tally(const struct service *, struct tally *);
void	 metrics_tally_door(const struct door *, struct tally *);
/* A process has gone: what it counted stays. */
void	 metrics_keep(struct tally *past, struct child *);
/* The rows that a door's processes fill. */
const char *metrics_part(const struct door *);
/* A recipient was answered for. */
void	 metrics_answered(struct service *, const struct reply *,
	    int64_t since_us);

/* ---- daemon.c: what a process in the background owes the system ---- */

/* Parent: does not return; exits with what the child says by daemon_ready().
 * Child: a descriptor for that. */
int	 daemon_fork(void);
void	 daemon_ready(int fd, int status);
/* Our stderr and that of agents becomes lines of the log; the stderr that
 * there was, for what the person at the terminal must see. */
FILE	*daemon_stderr_to_log(struct loop *);
void	 daemon_notify(const char *state);	/* systemd, if it started us */
int	 daemon_pid_file(const char *path, char *error, size_t);
/* Removed, if it still names us. */
void	 daemon_pid_file_end(const char *path);

/* ---- logging.c ---- */

extern const struct opt_row logging_rows[];
/* For the table's check(). */
int	 logging_check(const struct logging_conf *, opt_report *, void *arg);
/* Where to log is settled; 0, or a status with a text. */
int	 logging_start(struct master *, const struct logging_conf *,
	    char *error, size_t);
/* The log file, if there is one, is opened again; 0, or a status, the asker,
 * who may be NULL, having been told why. */
int	 logging_reopen(struct master *, struct control *asker);
/* The configuration is another. */
void	 logging_reloaded(struct master *);

/* ---- systemd.c ---- */

struct watchdog;

/* How many descriptors from 3 on systemd gave us; and their adoption. */
unsigned	 systemd_inherited(void);
void		 systemd_adopt(struct sockets *, unsigned n);
/* NULL: none is wanted. */
struct watchdog	*systemd_watchdog(struct loop *);
void		 systemd_watchdog_stop(struct watchdog *);
void		 systemd_reloading(void);
/* state: lines such as READY=1, or ""; what else is the STATUS. */
void		 systemd_status(const char *state, const char *fmt, ...)
		    __attribute__((format(printf, 2, 3)));

/* ---- lifecycle.c ---- */

enum master_state {
	MASTER_STARTING,
	MASTER_RUNNING,
	/* Doors end their sessions, and what these submit is still taken. */
	MASTER_CLOSING,
	MASTER_STOPPING
};

struct master {
	struct loop	*loop;
	struct reaper	*reaper;
	const char	*path;		/* of the configuration; borrowed */
	FILE		*errors;	/* where faults of the start go */
	struct config	*config;	/* NULL until the start succeeded */
	struct config	*began;		/* what it started with; likewise */
	char		*pid_file;	/* that was written, or NULL */
	enum master_state state;
	bool		 is_background;
	struct log_conf	 log;		/* settled at the start */
	int64_t		 started_ms;	/* wall clock */
	TAILQ_HEAD(, service) services;
	TAILQ_HEAD(, door) doors;
	struct sockets	 sockets;
	TAILQ_HEAD(, submitter) submitters;
	unsigned	 nsubmitters;	/* without doors */
	TAILQ_HEAD(, control) controls;
	struct listener	*submit_listener, *control_listener;
	uint64_t	 queued_bytes;	/* of deliveries that wait */
	uint64_t	 refused;	/* recipients that came to no relay */
	uint32_t	 njobs;
	uint32_t	 nforwarding;	/* jobs at agents that may forward */
	struct timer	 tick;
	bool		 is_ticking;
	struct timer	 flush_limit;	/* for the last answers at the end */
	struct rollout	*rollout;	/* of the start or a reload */
	struct control	*reload_asker;
	char		**reload_names;	/* the only ones; NULL: all */
	size_t		 nreload_names;
	bool		 reload_again;
	int64_t		 stop_at_ms;	/* of CLOSING; 0: no limit */
	struct upgrade	*upgrade;	/* under way, or NULL */
	int		 ready_fd;	/* of the master whose place we take;
					 * -1: of nobody */
	pid_t		 old_pid;	/* that master's */
	int		 line_fd;	/* it has not said yes yet; or -1 */
	struct event	 ev_line;
	struct timer	 silence;	/* there, behind its end */
	bool		 is_replaced;	/* CLOSING: another one took ours */
	bool		 is_refusing;	/* is_replaced: its time is over */
	struct timer	 replaced_limit;
	struct timer	 drain_limit;
	bool		 is_finished;
	void		(*started)(void *arg, int status);
	void		*arg;
};

struct master	*master_new(struct loop *, const char *path);
/*
 * started is called once: with 0, or with a status of sysexits.h after the
 * faults were printed, and then no agent is left.
 */
void		 master_start(struct master *,
		    void (*started)(void *arg, int status), void *arg);
void		 master_free(struct master *);
/* The relay that takes deliveries under this name, or NULL. */
struct service	*master_service(const struct master *, const char *name,
		    size_t len);
void		 master_need_tick(struct master *);
/* The relay or door of this name and kind, or NULL. */
struct door	*master_door(const struct master *, enum conf_kind,
		    const char *name);
/* names: of the relays and intakes that get new processes, the others stay
 * what they are; n 0: all that changed. */
void		 master_reload(struct master *, struct control *asker,
		    const char *const *names, size_t n);
/* One that was asked for while it could not be. */
void		 master_reload_again(struct master *);
/* limit_ms 0: none.  Another call can only shorten it.  The loop stops with
 * status 0 at the end. */
void		 master_stop(struct master *, int64_t limit_ms);
/* Finish what waits and runs; what is left at the limit is stopped.  0: no
 * limit. */
void		 master_drain(struct master *, int64_t limit_ms);
void		 master_stop_now(struct master *);
/* The event of a stop; by what it comes: "drain", "signal 15 (Terminated)". */
void		 master_tell_stopping(const char *how);
/* Another master took over: end when submitters and doors have gone. */
void		 master_hand_over(struct master *);
/* Something ended; is it the last? */
void		 master_check_stopped(struct master *);

/* Each fault of the configuration as an event, with this end; all of them to
 * the asker, who may be NULL. */
void		 master_log_faults(enum event_name, const struct conf *,
		    const char *end, struct control *asker);
/* Nothing is left of a start. */
void		 master_give_up(struct master *, int status);
/* The start is over: from here on faults go to the log. */
void		 master_close_errors(struct master *);
void		 master_warn_user(const struct config *);

/* ---- commit.c ---- */

/* arg: the master.  What a reload starts anew: what differs, or what it was
 * asked for. */
bool		 commit_wants(void *arg, const struct relay_conf *);
/* The sockets of doors that commit_config() is going to start; 0, or a status
 * with a text. */
int		 commit_open_doors(struct master *, struct config *,
		    char *error, size_t);
void		 commit_config(struct master *, struct rollout *);

/* ---- reload.c, stop.c: master_reload() and master_stop(), above ---- */

/* The reload that is under way is over. */
void		 reload_end(struct master *, int status);
void		 stop_init(struct master *);	/* its timers */
void		 stop_clear(struct master *);

/* ---- upgrade.c, upgrade_new.c ---- */

/* Before anything else: where our program is. */
void		 upgrade_keep_path(const char *argv0);
void		 master_upgrade(struct master *, struct control *asker);
void		 upgrade_cancel(struct upgrade *);
void		 upgrade_forget_asker(struct master *, const struct control *);
/* How many descriptors from 3 on are ours to take over; 0: we were started
 * by no master. */
unsigned	 upgrade_inherited(void);
void		 upgrade_adopt(struct master *);
/* Faults that are to come go to the old master. */
void		 upgrade_open_errors(struct master *);
void		 upgrade_started(struct master *, int status);
void		 upgrade_init(struct master *);		/* of a new master */
void		 upgrade_clear(struct master *);	/* at the end */
void		 upgrade_abort(struct upgrade *);
/* We are to end: if the old master is gone the sockets are ours to remove. */
void		 upgrade_settle(struct master *);

/* ---- the nexthop command ---- */

struct cli;

/* nexthop check; is_strict: warnings are faults. */
int	 probe_check(const char *path, bool is_strict);
/* Only agents know which options are secret; a name may do without one. */
bool	 probe_sounds_secret(const char *name);
/* What is legal but dangerous, a line each; how many. */
unsigned check_warn(const struct rollout *, FILE *);
int	 probe_config(const char *path);	/* nexthop config */
#define OPERATOR_ARGS_MAX	64	/* of one COMMAND */

int	 operator_command(const char *socket_path, const char *command,
	    const char *const *args, size_t nargs);
/* To a socket of the master's; -1 with errno. */
int	 operator_connect(const char *socket_path);
/* count 0: one where there is no terminal, else no end. */
int	 top_run(const char *socket_path, int64_t interval_ms, int64_t count);
int	 sender_run(struct cli *, const char *socket_path, const char *relay);

#endif
