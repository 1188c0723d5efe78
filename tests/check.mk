# What proves the programs, and what shows them. Included by the Makefile.

.PHONY: check check-all demo demo-clean
check:
	@sh tests/check.sh

check-all:
	@sh tests/check.sh all

# The build is a make of its own: what it asks pkg-config for may have just been installed. What root has built belongs to
# whom the tree belongs to.
demo:
	@sh tests/install-deps.sh demo
	@$(MAKE) --no-print-directory --silent all
	@chown -R --reference=. $(BUILD)
	@/usr/bin/python3 -B contrib/demo/demo.py $(if $(KEEP),--keep)

demo-clean:
	@/usr/bin/python3 -B contrib/demo/demo.py --clean

# The same with Kubernetes. A kube-apiserver that is not there yet is built first.
.PHONY: demo-kubernetes demo-kubernetes-clean
demo-kubernetes:
	@sh tests/install-deps.sh kubernetes
	@$(MAKE) --no-print-directory --silent all
	@[ -n "$$KUBE_APISERVER" ] || command -v kube-apiserver >/dev/null || $(MAKE) --no-print-directory kube-apiserver
	@chown -R --reference=. $(BUILD)
	@/usr/bin/python3 -B contrib/demo/kubernetes.py $(if $(KEEP),--keep)

demo-kubernetes-clean:
	@/usr/bin/python3 -B contrib/demo/kubernetes.py --clean

# A real API server for the tests and the demo of Kubernetes, where there is none in PATH and $KUBE_APISERVER names none.
.PHONY: kube-apiserver
kube-apiserver: build/kube/kube-apiserver
build/kube/kube-apiserver:
	@sh tests/install-deps.sh kube-apiserver
	@sh tests/kube/build-apiserver.sh $(@D)
