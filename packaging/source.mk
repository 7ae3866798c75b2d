# The version, the one time of everything that is built, and the source tarball. Included by rpm.mk.
#
# All packages are made from the tarball, and never from the tree itself: the tarball alone gives
# the same bytes again.

include packaging/home.mk

RPM_BUILD ?= build/rpm

rpm_name := ipvs-estoff-guard
rpm_version := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' ipvsd/__init__.py)
rpm_stem := $(rpm_name)-$(rpm_version)
rpm_sources := $(RPM_BUILD)/sources
source_tarball := $(rpm_sources)/$(rpm_stem).tar.gz

# One time for everything inside: the beginning of the newest changelog entry's day. The same from a
# clone, from a tarball and on a later day; never still to come, since rpm only makes times earlier.
ifndef SOURCE_DATE_EPOCH
rpm_release_day := $(shell sed -n 's/^.. [0-9.]* - \([0-9-]*\)$$/\1/p' CHANGELOG.md | head -n 1)
SOURCE_DATE_EPOCH := $(shell date -u -d '$(rpm_release_day) 00:00 UTC' +%s)
endif
export SOURCE_DATE_EPOCH

.PHONY: FORCE
# Remade only when its contents change, and then the packages with it.
$(source_tarball): FORCE
	@HOME_URL='$(HOME_URL)' SECURITY_CONTACT='$(SECURITY_CONTACT)' MAINTAINER='$(MAINTAINER)' \
		packaging/source-tarball.sh "$(rpm_stem)" "$(SOURCE_DATE_EPOCH)" "$@"
