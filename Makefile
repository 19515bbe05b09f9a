# nexthop - one non-recursive GNU makefile.
#
# Programs are found by name: a .c file in agents/, and in master/ one with a
# '-' in its name (or nexthop.c), holds a main(). Everything in common/ is one
# static library. All output goes below $(BUILD), laid out as it is installed.
# `make help` lists the targets.

VERSION	:= 0.1.0
BUILD	?= build/release
PREFIX	?= /usr/local
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
RUNDIR	?= /run/nexthop
DESTDIR	?=

ifeq ($(origin CC),default)
CC	:= gcc
endif
CFLAGS	?= -O2 -g
LDFLAGS	?=
WERROR	?=
V	?=
JOBS	?= $(shell nproc)

# Libraries are pkg-config names, or words that begin with '-'. PKGS is offered
# to every program, LIBS_name to one program; --as-needed drops what is unused.
# Tests and fuzzers are offered all of them.
PKGS			:= libbsd-overlay libevent_core inih libidn2 libseccomp
LIBS_smtp-mx		:= ldns libssl libcrypto libcurl
LIBS_smtp-static	:= ldns libssl libcrypto
LIBS_lmtp		:= ldns libssl libcrypto
LIBS_nexthop		:= jansson
LIBS_http		:= libcurl jansson libssl libcrypto
LIBS_pipe		:= libpcre2-8
LIBS_fake		:= libssl libcrypto
LIBS_sink		:= libssl libcrypto
LIBS_dns		:= ldns
LIBS_policy		:= ldns libssl libcrypto libcurl
LDFLAGS_custom		:= -rdynamic	# a loaded factory calls back into us

# What agents outside the tree may include; installed with these paths below
# include/nexthop/. They may include each other and the system, nothing else.
PUBLIC_HDRS := $(wildcard $(addprefix common/,agent/agent.h \
	agent/factory.h base/mem.h conf/option.h mail/causes.h mail/envelope.h \
	mail/frame.h mail/message.h mail/reply.h net/loop.h))

# --- flags ------------------------------------------------------------------

# Format strings live in tables (causes.h, events.h), hence no
# -Wformat-nonliteral.
WARN	:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2 \
	-Wno-format-nonliteral $(if $(WERROR),-Werror)

# _FORTIFY_SOURCE needs the optimizer, and hides errors from the sanitizers.
FORTIFY	= $(if $(findstring -fsanitize,$(CFLAGS)),,$(if \
	$(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2))

# -iquote, not -I: common/net/ must never answer for <net/if.h>.
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -iquote common -iquote $(BUILD)/gen \
	$(WARN) -fPIE -fno-common -fstack-protector-strong \
	-ffunction-sections -fdata-sections $(FORTIFY) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections \
	$(CFLAGS) $(LDFLAGS)

SAN	:= -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
FUZZ	:= -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=undefined \
	-fsanitize=fuzzer-no-link,address,undefined

# Asked once, and only when something is compiled: pkg-config may be missing
# while `make check` is about to install it.
ALL_PKGS   = $(sort $(PKGS) $(foreach v,$(filter LIBS_%,$(.VARIABLES)),$($(v))))
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags \
	$(filter-out -%,$(ALL_PKGS))))$(PKG_CFLAGS)
PKG_LIBS   = $(filter -%,$1) $(shell pkg-config --libs $(filter-out -%,$1))

# --- what there is ----------------------------------------------------------

O	:= $(BUILD)/obj
LIB	:= $(BUILD)/libnexthop.a
LIB_SRC	:= $(wildcard common/*/*.c)
LIB_OBJ	:= $(LIB_SRC:%.c=$(O)/%.o)

MASTER_SRC  := $(wildcard master/*.c)
MASTER_MAIN := $(foreach f,$(MASTER_SRC),$(if $(or $(findstring -,$(notdir $f)),\
	$(filter master/nexthop.c,$f)),$f))
MASTER_OBJ  := $(patsubst %.c,$(O)/%.o,$(filter-out $(MASTER_MAIN),$(MASTER_SRC)))

LIBEXEC	:= libexec/nexthop
progs	= $(patsubst $1/%.c,$(BUILD)/$2/%,$3)
BIN_PROGS     := $(call progs,master,bin,$(filter master/nexthop.c,$(MASTER_MAIN)))
SBIN_PROGS    := $(call progs,master,sbin,$(filter master/nexthop-%,$(MASTER_MAIN)))
INTAKE_PROGS  := $(call progs,master,$(LIBEXEC),$(filter-out \
	master/nexthop.c master/nexthop-%,$(MASTER_MAIN)))
AGENT_PROGS   := $(call progs,agents,$(LIBEXEC),$(wildcard agents/*.c))
LIBEXEC_PROGS := $(AGENT_PROGS) $(INTAKE_PROGS)
PROGS	:= $(BIN_PROGS) $(SBIN_PROGS) $(LIBEXEC_PROGS)

# What several tools or benches share lies in t/tools/lib/.
TOOL_LIB := $(BUILD)/t/tools/lib.a
TOOL_OBJ := $(patsubst %.c,$(O)/%.o,$(wildcard t/tools/lib/*.c))
TOOLS	:= $(patsubst %.c,$(BUILD)/%,$(wildcard t/tools/*.c))
BENCHES	:= $(patsubst %.c,$(BUILD)/%,$(wildcard t/bench/*.c))
UNITS	:= $(patsubst %.c,$(BUILD)/%,$(wildcard t/unit/test_*.c))
FUZZERS	:= $(patsubst %.c,$(BUILD)/%,$(wildcard t/fuzz/fuzz_*.c))
BATS	:= $(wildcard t/*.bats)
MAN_SRC	:= $(wildcard $(foreach s,1 5 7 8,master/*.$s agents/*.$s common/*/*.$s etc/*.$s))
MAN	:= $(foreach f,$(MAN_SRC),$(BUILD)/man/$(notdir $f))
SAMPLE	:= $(BUILD)/etc/nexthop.conf
SYSTEMD_UNITS := nexthop.service nexthop.socket

# --- building ---------------------------------------------------------------

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: FORCE all tools units benches everything fuzzers objects

## all: the programs and their manual pages (default)
all: $(PROGS) $(MAN) $(SAMPLE)
tools: $(TOOLS)
units: $(UNITS)
benches: $(BENCHES)
fuzzers: $(FUZZERS)
everything: all tools units benches
# Each source compiled, nothing linked.
objects: $(LIB_OBJ) $(TOOL_OBJ) $(patsubst %.c,$(O)/%.o,$(MASTER_SRC) \
	$(wildcard agents/*.c t/tools/*.c t/bench/*.c t/unit/*.c t/fuzz/*.c))
all tools units benches fuzzers everything objects:
	@:

# V=1 shows the commands.
Q	= $(if $(V),,@)
say	= $(if $(V),,@echo '  $1 $(@:$(BUILD)/%=%)')

# A stamp changes only when its text does; what depends on it is then rebuilt.
stamp	= @mkdir -p $(@D); printf '%s\n' $1 | cmp -s - $@ || printf '%s\n' $1 >$@

$(BUILD)/flags: FORCE
	@command -v $(firstword $(CC)) pkg-config >/dev/null && \
	    pkg-config --print-errors --exists $(filter-out -%,$(ALL_PKGS)) || \
	    { echo "cannot build: $(firstword $(CC)), pkg-config or a library is" \
	    "missing; on Debian, 'make deps-build' installs them" >&2; exit 1; }
	$(call stamp,'$(CC) $(ALL_CFLAGS)' '$(ALL_LDFLAGS)' '$(ALL_PKGS)')

$(BUILD)/sources: FORCE
	$(call stamp,$(LIB_SRC) $(MASTER_SRC) $(TOOL_OBJ))

$(BUILD)/gen/paths.h: FORCE
	$(call stamp,'#define NEXTHOP_VERSION "$(VERSION)"' \
	    '#define NEXTHOP_SYSCONFDIR "$(SYSCONFDIR)/nexthop"' \
	    '#define NEXTHOP_LIBEXECDIR "$(PREFIX)/$(LIBEXEC)"' \
	    '#define NEXTHOP_RUNDIR "$(RUNDIR)"')

$(O)/%.o: %.c $(BUILD)/flags | $(BUILD)/gen/paths.h
	@mkdir -p $(@D)
	$(call say,CC)
	$Q$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# In manual pages and the sample configuration a line with "@options PROGRAM
# FORM" stands for what `PROGRAM --options=FORM` prints: its option table. A
# line with "@pages REGEX" stands for a list of manual pages.
define WITH_OPTIONS
$(1): $(2) $(PROGS)
	@mkdir -p $$(@D)
	$$(call say,GEN)
	$$Qawk -v dirs='$(BUILD)/$(LIBEXEC) $(BUILD)/bin $(BUILD)/sbin' \
	    -v pages='$(MAN_SRC)' \
	    -f contrib/check/expand-options.awk $(2) >$$@
endef
$(foreach f,$(MAN_SRC),$(eval $(call WITH_OPTIONS,$(BUILD)/man/$(notdir $f),$f)))
$(eval $(call WITH_OPTIONS,$(SAMPLE),etc/nexthop.conf))
$(BUILD)/man/nexthop.7: $(MAN_SRC)	# lists them all

# Made anew each time, so that a removed source leaves the library as well.
$(LIB): $(LIB_OBJ)
$(TOOL_LIB): $(TOOL_OBJ)
$(LIB) $(TOOL_LIB): $(BUILD)/sources
	@mkdir -p $(@D) && rm -f $@
	$(call say,AR)
	$Q$(AR) rcs $@ $(filter %.o,$^)

define LINK
@mkdir -p $(@D)
$(call say,LD)
$Q$(CC) $(ALL_LDFLAGS) $(LDFLAGS_$(@F)) $(ENGINE) -o $@ \
    $(filter %.o,$^) $(filter $(TOOL_LIB),$^) $(LIB) $(call PKG_LIBS,$1)
endef

$(BUILD)/bin/nexthop: $(MASTER_OBJ) $(BUILD)/sources
$(BUILD)/sbin/nexthop-master: $(filter-out %/top.o $(O)/master/top_%.o,\
    $(MASTER_OBJ)) $(BUILD)/sources
$(BIN_PROGS): $(BUILD)/bin/%: $(O)/master/%.o
$(SBIN_PROGS): $(BUILD)/sbin/%: $(O)/master/%.o
$(INTAKE_PROGS): $(BUILD)/$(LIBEXEC)/%: $(O)/master/%.o
$(AGENT_PROGS): $(BUILD)/$(LIBEXEC)/%: $(O)/agents/%.o
$(TOOLS) $(BENCHES) $(UNITS) $(FUZZERS): $(BUILD)/%: $(O)/%.o
$(TOOLS) $(BENCHES): $(TOOL_LIB)
$(PROGS) $(TOOLS): $(LIB) $(BUILD)/flags
	$(call LINK,$(PKGS) $(LIBS_$(@F)))
$(BENCHES) $(UNITS): $(LIB) $(BUILD)/flags
	$(call LINK,$(ALL_PKGS))
$(FUZZERS): ENGINE := -fsanitize=fuzzer
$(FUZZERS): $(LIB)
	$(call LINK,$(ALL_PKGS))

-include $(wildcard $(O)/*/*.d $(O)/*/*/*.d $(O)/*/*/*/*.d)

# --- packages ---------------------------------------------------------------

.PHONY: deps-build deps-test deps-bench deps-deb

## deps-build: install what building needs and is missing (Debian, root)
deps-build:
	@contrib/apt/install build.txt
## deps-test: install what `make check` needs and is missing
deps-test:
	@contrib/apt/install build.txt test.txt deb.txt
	@contrib/apt/extract build/peers extract.txt
## deps-deb: install what `make deb` needs and is missing
deps-deb:
	@contrib/apt/install build.txt deb.txt
## deps-bench: install what `make bench` needs and is missing
deps-bench:
	@contrib/apt/install build.txt bench.txt

# --- trying and testing -----------------------------------------------------

# Below, a second make does the building: it starts after the packages are
# there, and works in parallel without being told to.
SUBMAKE	= $(MAKE) --no-print-directory \
	$(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

.PHONY: demo check check-unit check-bats asan fuzz bench chaos

## demo: install what is missing, build, and deliver a first message
demo: deps-build
	+@$(SUBMAKE) all tools
	@NH_ROOT='$(CURDIR)' NH_BUILD='$(abspath $(BUILD))' contrib/demo/run

# How far the sanitizer build is tested by `make check`: no, unit, most, all.
CHECK_ASAN ?= most

## check: everything CI checks; ends with the line "N passed, N failed"
check: deps-test
	+@MAKE='$(MAKE)' BUILD='$(BUILD)' CHECK_ASAN='$(CHECK_ASAN)' \
	    SAN='$(SAN)' contrib/check/run

## check-unit: the unit tests; T=t/unit/test_x.c for some of them
check-unit: RUN = $(if $(T),$(patsubst %.c,$(BUILD)/%,$(T)),$(UNITS))
check-unit:
	+@$(SUBMAKE) units
	@NH_BUILD='$(BUILD)' t/run $(RUN)

## check-bats: the end to end tests; T=t/x.bats for some of them
check-bats:
	+@$(SUBMAKE) all tools
	@NH_BUILD='$(BUILD)' t/run $(or $(T),$(BATS))

## asan: all tests on a build with address and undefined-behaviour sanitizers
asan:
	+@MAKE='$(MAKE)' BUILD='$(BUILD)' CHECK_ASAN='all' \
	    SAN='$(SAN)' contrib/check/run asan

## fuzz: run each fuzzer for TIME=60 seconds; T=fuzz_x for some of them
TIME	?= 60
fuzz:
	+@$(SUBMAKE) BUILD=build/fuzz CC=clang CFLAGS='$(FUZZ)' LDFLAGS= fuzzers
	@JOBS='$(JOBS)' contrib/check/fuzz build/fuzz $(TIME) \
	    $(or $(T),$(basename $(notdir $(FUZZERS))))

## bench: measure, side by side with other agents
bench: deps-bench
	+@$(SUBMAKE) all tools benches
	@export NH_ROOT='$(CURDIR)' NH_BUILD='$(abspath $(BUILD))'; \
	    t/bench/run; status=$$?; t/bench/postfix && exit $$status

## chaos: mail while all around it fails, for TIME=60 seconds; SEED=, EVENTS=
chaos: deps-test
	+@$(SUBMAKE) all tools benches
	@NH_ROOT='$(CURDIR)' NH_BUILD='$(abspath $(BUILD))' t/chaos/run \
	    --time='$(TIME)' $(SEED:%=--seed=%) $(EVENTS:%=--events='%')

# --- reading the tree -------------------------------------------------------

.PHONY: lint layers headers manuals rfcs shape format help clean

## lint: static checks of C, scripts, manual pages, layers and headers
lint: $(BUILD)/gen/paths.h
	@CFLAGS='$(ALL_CFLAGS)' CC='$(CC)' JOBS='$(JOBS)' \
	    PUBLIC_HDRS='$(PUBLIC_HDRS)' contrib/check/lint

## layers: each folder includes only what lies below it
layers:
	@contrib/check/layers

## headers: each header compiles alone; public ones without private ones
headers: $(BUILD)/gen/paths.h
	@CFLAGS='$(ALL_CFLAGS)' CC='$(CC)' contrib/check/headers $(PUBLIC_HDRS)

## manuals: each program has a manual page, and the pages are sound
manuals: $(MAN)
	@contrib/check/manuals $(notdir $(PROGS)) -- $(MAN)

## rfcs: which RFC section is handled where, and the known gaps
rfcs:
	@contrib/check/rfcs

## shape: functions of over 60 lines, sources of over 500
shape:
	@contrib/check/shape

## format: clang-format over the lines that differ from the last commit
# Not over whole files: it would undo tables and declarations set with tabs.
format:
	@git clang-format --extensions c,h

# --- installing -------------------------------------------------------------

.PHONY: install uninstall

D	= $(DESTDIR)$(PREFIX)
PC	= $(D)/share/pkgconfig/nexthop-agent.pc
UNITS_TO = $(D)/lib/systemd/system
COMPLETIONS = $(D)/share/bash-completion/completions
# Commands beside nexthop that it is good for; of the agents only those whose
# names nobody else has.
COMPLETED := nexthop-master smtp-mx smtp-static
man_to	= $(D)/share/man/man$(subst .,,$(suffix $1))/$(notdir $1)
hdr_to	= $(D)/include/nexthop/$(1:common/%=%)

# One command a file: $(call put,mode,from,to)
define put
@echo "  install $3"
@install -D -m $1 $2 $3

endef

# With AS_BUILT=1 nothing is built for it, whatever PREFIX says.
## install: below DESTDIR and PREFIX=/usr/local; an existing config is kept
install: $(if $(AS_BUILT),,all)
	$(foreach f,$(PROGS),$(call put,755,$f,$(f:$(BUILD)/%=$(D)/%)))
	$(foreach f,$(MAN),$(call put,644,$f,$(call man_to,$f)))
	$(foreach f,$(PUBLIC_HDRS),$(call put,644,$f,$(call hdr_to,$f)))
	@install -d $(dir $(PC)) $(DESTDIR)$(SYSCONFDIR)/nexthop
	@printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include/nexthop' \
	    'libexecdir=$${prefix}/$(LIBEXEC)' '' 'Name: nexthop-agent' \
	    'Description: headers for delivery agents run by nexthop' \
	    'Version: $(VERSION)' 'Requires.private: libevent_core' \
	    'Cflags: -I$${includedir}' >$(PC)
	@install -d $(UNITS_TO)
	@for u in $(SYSTEMD_UNITS); do sed -e 's,@PREFIX@,$(PREFIX),g' \
	    -e 's,@RUNDIR@,$(RUNDIR),g' etc/$$u >$(UNITS_TO)/$$u; done
	$(call put,644,contrib/completion/nexthop,$(COMPLETIONS)/nexthop)
	@for p in $(COMPLETED); do ln -sf nexthop $(COMPLETIONS)/$$p; done
	@conf=$(DESTDIR)$(SYSCONFDIR)/nexthop/nexthop.conf; \
	    if [ -e $$conf ]; then echo "  kept    $$conf"; \
	    else install -m 640 $(SAMPLE) $$conf; fi

## uninstall: remove what install put there, except the configuration
uninstall:
	rm -f $(PROGS:$(BUILD)/%=$(D)/%) $(foreach f,$(MAN),$(call man_to,$f)) \
	    $(PC) $(addprefix $(COMPLETIONS)/,nexthop $(COMPLETED)) \
	    $(SYSTEMD_UNITS:%=$(UNITS_TO)/%)
	rm -rf $(D)/include/nexthop
	-@rmdir $(D)/$(LIBEXEC) 2>/dev/null || :

.PHONY: deb check-deb

## deb: the Debian packages, below build/deb
deb:
	@CCACHE='$(filter %ccache,$(firstword $(CC)))' JOBS='$(JOBS)' \
	    contrib/debian/build '$(VERSION)' build/deb

## check-deb: the packages compiled twice, and all that is tested of them
check-deb: deps-deb
	+@$(SUBMAKE) all
	@CCACHE='$(filter %ccache,$(firstword $(CC)))' NH_DEB=whole \
	    NH_BUILD='$(BUILD)' t/run -t 1800 t/deb.bats

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): /\1|/p' $(firstword $(MAKEFILE_LIST)) | \
	    while IFS='|' read -r t d; do printf '  %-12s %s\n' "$$t" "$$d"; done

## clean: remove build/
clean:
	rm -rf build
