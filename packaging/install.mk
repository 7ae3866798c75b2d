# make install DESTDIR=…: copies what is used at run time into place, and nothing else. Included by
# the top Makefile; the spec file runs it alone, with the directories of its distribution:
#
#     make -f packaging/install.mk install DESTDIR=/some/root SBINDIR=/usr/bin
#
# Modes are set here, whatever the umask and the checkout have; no bytecode is made or copied; man
# pages are compressed here, without a time in them.

PREFIX ?= /usr
SYSCONFDIR ?= /etc
DESTDIR ?=
SBINDIR ?= $(PREFIX)/sbin
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
COMPLETIONSDIR ?= $(DATADIR)/bash-completion/completions
UNITDIR ?= $(PREFIX)/lib/systemd/system
CATALOGDIR ?= $(PREFIX)/lib/systemd/catalog

# The private directory: no version of Python in its path, so that none is tied to the package.
PKGDIR ?= $(DATADIR)/ipvs-estoff-guard
CONFDIR ?= $(SYSCONFDIR)/ipvs-estoff-guard
SOSDIR ?= $(SYSCONFDIR)/sos/extras.d

# Packages (directories) and modules (files) of other projects to carry along, see bundled.txt.
# Empty: the system must have sdnotify and pyudev.
BUNDLED ?=

install_modules = $(shell find ipvsd -name '*.py' -type f | LC_ALL=C sort)
put = install -D -p -m 0644
# The two files that name installed places follow the directories above.
relocate = sed -e 's|/usr/share/ipvs-estoff-guard|$(PKGDIR)|g' -e 's|/usr/sbin/ipvsd|$(SBINDIR)/ipvsd|g'
compress = gzip -9 -n -c

.PHONY: install
install: ## copy everything into place below DESTDIR= (default: this system)
	@for module in $(install_modules); do \
		$(put) "$$module" "$(DESTDIR)$(PKGDIR)/$$module" || exit 1; \
	done
	@$(put) packaging/main.py "$(DESTDIR)$(PKGDIR)/__main__.py"
	@for carried in $(BUNDLED); do \
		( cd "$$(dirname "$$carried")" && find "$$(basename "$$carried")" -name '*.py' -type f ) \
		| LC_ALL=C sort | while read -r module; do \
			$(put) "$$(dirname "$$carried")/$$module" "$(DESTDIR)$(PKGDIR)/vendor/$$module" || exit 1; \
		done || exit 1; \
	done
	@install -d -m 0755 "$(DESTDIR)$(SBINDIR)" "$(DESTDIR)$(UNITDIR)" "$(DESTDIR)$(CONFDIR)/conf.d" \
		"$(DESTDIR)$(MANDIR)/man5" "$(DESTDIR)$(MANDIR)/man8"
	@$(relocate) packaging/ipvsd.sh > "$(DESTDIR)$(SBINDIR)/ipvsd"
	@chmod 0755 "$(DESTDIR)$(SBINDIR)/ipvsd"
	@$(relocate) systemd/ipvs-estoff-guard.service > "$(DESTDIR)$(UNITDIR)/ipvs-estoff-guard.service"
	@chmod 0644 "$(DESTDIR)$(UNITDIR)/ipvs-estoff-guard.service"
	@$(put) systemd/ipvs-estoff-guard.catalog "$(DESTDIR)$(CATALOGDIR)/ipvs-estoff-guard.catalog"
	@$(put) conf/guard.conf "$(DESTDIR)$(CONFDIR)/guard.conf"
	@$(put) packaging/sos/ipvs-estoff-guard "$(DESTDIR)$(SOSDIR)/ipvs-estoff-guard"
	@$(put) completions/ipvsd "$(DESTDIR)$(COMPLETIONSDIR)/ipvsd"
	@for page in ipvs-estoff-guard.conf.5 ipvs-estoff-guard.8 ipvsd.8; do \
		to="$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page.gz"; \
		$(compress) "man/$$page" > "$$to" && chmod 0644 "$$to" || exit 1; \
	done
	@echo "installed below $(if $(DESTDIR),$(DESTDIR),/)"
