# make deb, make apt-repo: the package for Debian and Ubuntu, and an apt repository that holds it.
# Included by the top Makefile after rpm.mk.
#
# Variables: DEB_BUILD    where the package is written
#            DEB_DIST     goes behind the revision: .1 for one that is newer by nothing else
#            APT_REPO_DIR, APT_REPO_EXTRA, APT_BASEURL, GPG_KEY  as REPO_DIR, REPO_EXTRA, BASEURL and
#                         GPG_KEY of the yum repository

DEB_BUILD ?= build/deb
DEB_DIST ?=
APT_REPO_DIR ?= build/apt-repo
APT_REPO_EXTRA ?=
APT_BASEURL ?= file://$(abspath $(APT_REPO_DIR))

deb_version := $(rpm_version)-1$(DEB_DIST)
deb_file := $(DEB_BUILD)/$(rpm_name)_$(deb_version)_all.deb

.PHONY: deb apt-repo
deb: $(deb_file) ## build the package for Debian and Ubuntu
	@echo "$(deb_file)"

apt-repo: deb ## make an apt repository of it (GPG_KEY= signs it, APT_BASEURL= says where it will be)
	@packaging/make-apt-repo.sh "$(APT_REPO_DIR)" "$(APT_BASEURL)" "$(GPG_KEY)" "$(deb_file)" $(APT_REPO_EXTRA)

$(deb_file): $(source_tarball)
	@packaging/make-deb.sh "$<" "$(deb_version)" "$@"
