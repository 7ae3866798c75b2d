# make release: everything that is published, in one folder. Included by the top Makefile, last.
#
# It unpacks the source tarball, and builds the rest in there: what is in the folder can be built
# again from the tarball in it, to the byte, but for the signatures of GPG_KEY.
#
# Variables: HOME_URL, SECURITY_CONTACT, MAINTAINER  the project's home, see home.mk
#            INTERNAL    yes: for an organisation's own use; what is not known of the home is left out
#            RELEASE_DIR the folder
#            RELEASE_URL where the folder will be served, without a slash at the end
#            RELEASE_IMAGE  no: without the container image, for which podman and mmdebstrap are needed
#            GPG_KEY     signs the packages, the repositories and the list of checksums

RELEASE_DIR ?= build/release
RELEASE_URL ?= http://packages.example.com:8080
RELEASE_WORK ?= build/release-work
INTERNAL ?=
RELEASE_IMAGE ?= yes

.PHONY: release
release: setup $(source_tarball) ## build all packages and repositories, with checksums, in build/release (HOME_URL=)
	@HOME_URL='$(HOME_URL)' SECURITY_CONTACT='$(SECURITY_CONTACT)' MAINTAINER='$(MAINTAINER)' \
		INTERNAL='$(INTERNAL)' GPG_KEY='$(GPG_KEY)' RELEASE_IMAGE='$(RELEASE_IMAGE)' \
		PYTHON='$(if $(findstring /,$(PYTHON)),$(abspath $(PYTHON)),$(PYTHON))' \
		RPMBUILD_FLAGS='$(RPMBUILD_FLAGS)' \
		packaging/make-release.sh "$(source_tarball)" "$(RELEASE_WORK)" "$(RELEASE_DIR)" "$(RELEASE_URL)"
