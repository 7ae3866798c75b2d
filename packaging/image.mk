# make image: the container image, out of the RPM and of few Debian packages. Included by the top
# Makefile, behind rpm.mk.
#
# Variables: IMAGE      its name
#            IMAGE_DIR  where all of it happens; the archive is for `podman load` or `skopeo copy`
#            PODMAN     podman, with options such as --root=

IMAGE ?= localhost/ipvs-estoff-guard:$(rpm_version)
IMAGE_DIR ?= build/container
PODMAN ?= podman
image_archive := $(IMAGE_DIR)/$(rpm_stem)-image.tar

.PHONY: image
image: $(image_archive) ## build the container image, with podman (IMAGE= names it)
	@echo "$(image_archive): $(IMAGE)"

$(image_archive): $(rpm_file) $(wildcard packaging/container/*) packaging/sbom.py
	@packaging/container/make-root.sh "$(rpm_file)" "$(IMAGE_DIR)"
	@cp packaging/container/Containerfile "$(IMAGE_DIR)/"
	@$(PODMAN) build --quiet --timestamp "$(SOURCE_DATE_EPOCH)" --tag "$(IMAGE)" \
		--build-arg VERSION="$(rpm_version)" \
		--build-arg CREATED="$(shell date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ)" \
		$(if $(HOME_URL),--label "org.opencontainers.image.url=$(HOME_URL)") \
		"$(IMAGE_DIR)" >"$(IMAGE_DIR)/id"
	@rm -f "$@"
	@$(PODMAN) save --quiet --format oci-archive --output "$@" "$(IMAGE)"
