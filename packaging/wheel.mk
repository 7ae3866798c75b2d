# make wheel: the package for pip. Included by the top Makefile after rpm.mk.
#
# WHEEL_BUILD  where it is written

WHEEL_BUILD ?= build/wheel
wheel_file := $(WHEEL_BUILD)/ipvs_estoff_guard-$(rpm_version)-py3-none-any.whl

.PHONY: wheel
wheel: $(wheel_file) ## build the wheel, for pip
	@echo "$(wheel_file)"

$(wheel_file): $(source_tarball) | $(RPM_NEEDS)
	@mkdir -p "$(@D)"
	@$(PYTHON) -m pip --disable-pip-version-check wheel --quiet --no-deps --no-cache-dir --wheel-dir "$(@D)" "$<"
