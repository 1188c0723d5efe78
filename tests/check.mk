# What proves the programs, and what shows them. Included by the Makefile.

.PHONY: check check-all demo demo-clean
check:
	@sh tests/check.sh

check-all:
	@sh tests/check.sh all

demo:
	@sh tests/install-deps.sh demo
	@$(MAKE) --no-print-directory --silent all
	@/usr/bin/python3 contrib/demo/demo.py $(if $(KEEP),--keep)

demo-clean:
	@/usr/bin/python3 contrib/demo/demo.py --clean
