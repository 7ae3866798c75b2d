# make rpm, make repo: the package and a yum repository that holds it. Included by the top Makefile.
#
# Variables: PYTHON     runs pip and, in %check, the unit tests (a Python with pytest; without
#                       pytest the package is built without them, and says so)
#            RPM_BUILD  where all of it happens
#            RPMBUILD_FLAGS  more for rpmbuild, e.g. --without tests
#            RPM_DIST   goes behind the release: .el8, or .1 for one that is newer by nothing else
#            REPO_EXTRA more packages for the repository
#            GPG_KEY    signs packages and metadata with this key of GNUPGHOME
#            BASEURL    where the repository will be found, for its .repo file
#            RPM_NEEDS  what has to be made before, such as the virtual environment with PYTHON
#                       (to be set before this file is included)

include packaging/source.mk

PYTHON ?= python3
REPO_DIR ?= build/repo
RPMBUILD_FLAGS ?=
RPM_DIST ?=
REPO_EXTRA ?=
GPG_KEY ?=
RPM_NEEDS ?=
BASEURL ?= file://$(abspath $(REPO_DIR))

rpm_file := $(RPM_BUILD)/$(rpm_stem)-1$(RPM_DIST).noarch.rpm
rpm_bundled := $(rpm_sources)/bundled.stamp

rpm_macros = \
	--define '_rpmdir $(abspath $(RPM_BUILD))' \
	--define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
	--define '_srcdefattr (0644,root,root)' \
	--define '_docdir_fmt %%{NAME}' \
	--define 'dist $(or $(RPM_DIST),%{nil})' \
	--define '_buildhost localhost' \
	--define 'packager $(or $(MAINTAINER),$(rpm_name) maintainers)' \
	--define 'use_source_date_epoch_as_buildtime 1' \
	--define 'clamp_mtime_to_source_date_epoch 1' \
	--define 'build_mtime_policy clamp_to_source_date_epoch'

# The source package keeps the spec file as expanded, with all paths: relative ones tell nothing of
# the machine and are the same on each.
rpm_source_paths = --define '_topdir work' --define '_sourcedir sources' --define '_srcrpmdir .'
rpm_binary_paths = --define '_topdir $(abspath $(RPM_BUILD))/work' \
	--define '_sourcedir $(abspath $(rpm_sources))'

# Debian's rpm database is empty: what BuildRequires asks for was installed by apt.
rpm_nodeps = $(if $(wildcard /etc/debian_version),--nodeps)
rpm_python = $(shell $(PYTHON) -c 'import pytest, sys; print(sys.executable)' 2>/dev/null)
rpm_tests = $(if $(rpm_python),--define '_ipvsd_python $(rpm_python)',--without tests)

.PHONY: rpm repo
rpm: $(rpm_file) ## build the RPM and its source RPM
	@echo "$(rpm_file)"

repo: rpm ## make a yum repository of the RPM (GPG_KEY= signs it, BASEURL= says where it will be)
	@packaging/make-repo.sh "$(REPO_DIR)" "$(BASEURL)" "$(GPG_KEY)" "$(rpm_file)" $(REPO_EXTRA)

# pip checks every sum, and refuses the whole list if one is wrong.
$(rpm_bundled): packaging/bundled.txt | $(RPM_NEEDS)
	@echo "fetching the releases that packaging/bundled.txt pins"
	@mkdir -p "$(@D)"
	@$(PYTHON) -m pip download --quiet --no-deps --no-binary :all: --require-hashes \
		--dest "$(rpm_sources)" -r packaging/bundled.txt
	@touch "$@"

$(rpm_file): $(source_tarball) $(rpm_bundled) | $(RPM_NEEDS)
	$(if $(rpm_python),,@echo "$(PYTHON) has no pytest: building without the unit tests")
	@rm -rf "$(RPM_BUILD)/work"
	@mkdir -p "$(RPM_BUILD)/work"
	@tar -x -O -f "$<" "$(rpm_stem)/packaging/$(rpm_name).spec" >"$(RPM_BUILD)/work/$(rpm_name).spec"
	@( cd "$(RPM_BUILD)" \
		&& rpmbuild -bs --nodeps $(rpm_source_paths) $(rpm_macros) work/$(rpm_name).spec \
		&& rpmbuild -bb $(rpm_nodeps) $(rpm_binary_paths) $(rpm_macros) $(rpm_tests) $(RPMBUILD_FLAGS) \
			work/$(rpm_name).spec ) >"$(RPM_BUILD)/rpmbuild.log" 2>&1 \
		|| { tail -n 60 "$(RPM_BUILD)/rpmbuild.log" >&2; echo "rpmbuild failed: $(RPM_BUILD)/rpmbuild.log" >&2; exit 1; }
	@rm -rf "$(RPM_BUILD)/work"
