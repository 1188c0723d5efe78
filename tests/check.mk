# What proves the programs, and what shows them. Included by the Makefile.

.PHONY: check check-all demo demo-clean
check:
	@sh tests/check.sh

check-all:
	@sh tests/check.sh all

demo:
	@sh contrib/demo/demo.sh $(if $(KEEP),--keep)

demo-clean:
	@sh contrib/demo/demo.sh --clean
