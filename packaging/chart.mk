# make chart: the Helm chart in one file, as `helm package` would make it, but the same bytes each
# time. Included by the top Makefile, behind rpm.mk.
#
# Variable: CHART_DIR  where it goes

CHART_DIR ?= build/chart
chart_file := $(CHART_DIR)/$(rpm_stem).tgz

.PHONY: chart
chart: ## pack the Helm chart
	@mkdir -p "$(CHART_DIR)"
	@LC_ALL=C tar --create --sort=name --mtime="@$(SOURCE_DATE_EPOCH)" --owner=0 --group=0 \
		--numeric-owner --mode=u=rwX,go=rX -C deploy/helm $(rpm_name) | gzip -n >"$(chart_file)"
	@echo "$(chart_file)"
