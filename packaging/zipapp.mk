# make doctor: one file that runs before anything is installed. Included by the top Makefile. It
# carries no library: only the daemon needs one.

ZIPAPP ?= build/ipvsd.pyz

.PHONY: doctor
doctor: $(ZIPAPP) ## build one file for `doctor` on a host without the package
	@echo "$(ZIPAPP): copy it to a host, and run there as root: python3 $(notdir $(ZIPAPP)) doctor"

$(ZIPAPP): $(shell find ipvsd -name '*.py' -type f)
	@mkdir -p "$(@D)"
	@python3 packaging/make_zipapp.py "$@" $^
