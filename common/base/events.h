/*
 * events.h - every event that is logged by name, one row each: name in the
 * source, name in the log, level, what it tells.  Names are stable: log
 * analysers know them.  Included several times with EVENT() and FINAL()
 * defined; see event.h.  nexthop-events(7) is printed from here.
 *
 * FINAL: what became of a recipient.  In a line of text it has the form that
 * Postfix made known, and its status in place of its name.
 */
/* deliveries */
FINAL(DELIVERED, "delivered", INFO, "The next hop has taken the message for "
    "this recipient: status=sent.")
FINAL(DEFERRED, "deferred", INFO, "It has not, for now; who submitted the "
    "message may try again: status=deferred.")
FINAL(BOUNCED, "bounced", INFO, "It has not, for good: status=bounced.")
FINAL(FORWARDED, "forwarded", INFO, "The recipient was handed to another "
    "relay, which will tell what becomes of it: status=forwarded.")

/* connections, programs, requests */
EVENT(SESSION, "session", INFO, "A connection to a next hop has ended.")
EVENT(RUN, "run", INFO, "A program has ended that was run for a delivery.")
EVENT(INTAKE_SESSION, "intake_session", INFO, "A client's connection to an "
    "intake has ended.")
EVENT(TRANSCRIPT, "transcript", INFO, "A line of a dialogue: C: is what we "
    "say, S: what the other side says, -- what has happened; secrets are "
    "masked.  Logged where the relay's option transcript asks for it.")

/* the master */
EVENT(START, "start", INFO, "nexthop-master starts, its "
    "configuration is sound.")
EVENT(START_REFUSED, "start_refused", ERROR, "It cannot start; who started it "
    "is told the same on stderr.")
EVENT(READY, "ready", INFO, "All agents are ready, submitters may connect; "
    "intakes and the server of figures follow.")
EVENT(RELOADING, "reloading", INFO, "The configuration is read again.")
EVENT(RELOADED, "reloaded", INFO, "It has taken effect; where some relays and "
    "intakes were named, a line for each.")
EVENT(RELOAD_REFUSED, "reload_refused", ERROR, "It has faults: nothing was "
    "changed.")
EVENT(UPGRADING, "upgrading", INFO, "A new nexthop-master is being started to "
    "take over.")
EVENT(UPGRADED, "upgraded", INFO, "It has; this one finishes what it has.")
EVENT(UPGRADE_FAILED, "upgrade_failed", ERROR, "It has not: this one goes "
    "on.")
EVENT(REOPENED, "reopened", INFO, "The log file was opened again.")
EVENT(REOPEN_FAILED, "reopen_failed", ERROR, "It could not be: the log goes "
    "on in the old file.")
EVENT(STOPPING, "stopping", INFO, "nexthop-master was told to end, or to end "
    "once all is delivered.")
EVENT(STOPPED, "stopped", INFO, "It has ended.")
EVENT(AGENT_READY, "agent_ready", INFO, "A process of an agent, an intake "
    "or the server of figures has begun its work.")
EVENT(AGENT_REFUSED, "agent_refused", ERROR, "One that was started again "
    "finds fault with its options.")
EVENT(AGENT_DIED, "agent_died", WARNING, "Such a process has ended without "
    "having been asked to.  What an agent had open was answered, a line for "
    "each recipient; it is started again after delay.")
EVENT(AGENT_FAILED, "agent_failed", WARNING, "One that was to finish its "
    "deliveries and end did so badly.")
EVENT(AGENT_RULES, "agent_rules", WARNING, "An agent has broken a rule of "
    "nexthop-agent(7).")
EVENT(SUBMITTER_REFUSED, "submitter_refused", WARNING, "A submitter was "
    "disconnected.")

/* the log itself */
EVENT(LOG_LOST, "log_lost", WARNING, "Lines of the log could not be written "
    "before this one: the disk was full, or the daemon took none.")
EVENT(NOTE, "note", DEBUG, "Anything else, at any level, as text for "
    "people.")
