# What one does with weir, each by one word. Every target installs what it needs, or says what is missing and how to get it.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.5.0

FUZZTIME    ?= 20s
KILLS       ?= 60
EVENTS      ?= 1000000
PKGS        ?= ./...
# What runs again under the race detector, in its short form.
RACE        ?= $(PKGS)

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PKGS=./topology/...    test only these packages"
	@echo "  WEIR_KAFKA=host:port   tests, crash and bench use this Kafka instead of starting one"
	@echo "  CI=true                a test that is skipped for want of a program is a failure"

.PHONY: build
build: ## build bin/weir
	$(GO) build -trimpath -o bin/weir ./cmd/weir

.PHONY: up
up: build ## run everything in one process; then open http://127.0.0.1:8080
	./bin/weir up $(ARGS)

.PHONY: test
test: ## vet, all tests, and again under the race detector
	$(GO) vet $(PKGS) ./.ci/testlog
	@echo "== tests"
	@$(GO) test -json -timeout 20m $(PKGS) | $(GO) run ./.ci/testlog
	@echo "== tests under the race detector"
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC | cut -d' ' -f1)" > /dev/null; then \
		$(GO) test -json -race -short -timeout 20m $(RACE) | $(GO) run ./.ci/testlog; \
	else \
		echo "SKIPPED, SO NOT CHECKED: the race detector needs a C compiler; install one: apt-get install gcc libc6-dev"; \
		[ "$${CI:-}" != true ]; \
	fi

.PHONY: check
check: ## formatting, vet, staticcheck, known vulnerabilities, the import rule
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard -- '*.go' | while read -r f; do [ -e "$$f" ] && echo "$$f"; done)); \
	if [ -n "$$unformatted" ]; then echo "not formatted (gofmt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./... ./.ci/testlog
	$(GO) run $(STATICCHECK) ./...
	@out=$$($(GO) run $(GOVULNCHECK) ./... 2>&1) && status=0 || status=$$?; echo "$$out"; \
	if [ $$status -ne 0 ] && grep -q 'fetching vulnerabilities' <<< "$$out"; then \
		echo "NOT CHECKED: the vulnerability database (vuln.go.dev) cannot be reached from here"; \
	else exit $$status; fi
	$(GO) test -count=1 -run 'TestImportsGoOneWay|TestLibrariesStayWhereTheyBelong' ./topology

.PHONY: browser
browser: build ## try the dashboard in a browser: dashboard/e2e (WEIR_BROWSER_BENCH=10m: measure it for so long)
	@[ -d dashboard/e2e/node_modules ] || npm ci --prefix dashboard/e2e --ignore-scripts --no-audit --no-fund
	WEIR_BINARY=$(CURDIR)/bin/weir npm --prefix dashboard/e2e run --silent $(if $(WEIR_BROWSER_BENCH),bench,test)

.PHONY: shots
shots: build ## photograph every page of the dashboard, into bin/shots
	@[ -d dashboard/e2e/node_modules ] || npm ci --prefix dashboard/e2e --ignore-scripts --no-audit --no-fund
	WEIR_BINARY=$(CURDIR)/bin/weir npm --prefix dashboard/e2e run --silent shots -- $(CURDIR)/bin/shots

.PHONY: storybook
storybook: build ## record anew what the storybook tells, after a page asks the server for something new
	@[ -d dashboard/e2e/node_modules ] || npm ci --prefix dashboard/e2e --ignore-scripts --no-audit --no-fund
	WEIR_BINARY=$(CURDIR)/bin/weir npm --prefix dashboard/e2e run --silent record

.PHONY: bench
bench: build ## measure weir on a Kafka (throughput, CPU, latency)
	.ci/kafka exec bash -c 'kafka=$$WEIR_KAFKA; unset WEIR_KAFKA; exec ./bin/weir bench --brokers "$$kafka" $(ARGS)'

.PHONY: crash
crash: ## kill -9, freeze and scale weir and brokers of Apache Kafka, and kill the embedded broker
	WEIR_TEST_KILLS=$(KILLS) $(GO) test -count=1 -timeout 30m -v -run 'TestKilledBroker' ./topology/broker
	WEIR_CRASH=1 .ci/kafka exec $(GO) test -count=1 -timeout 60m -v -run 'Kill|Crash|Disturb' ./cmd/weir

.PHONY: exact
exact: ## hold every feature at each of EVENTS (1000000) random events, and the alerts on 1, 4 and 8 partitions, to slow oracles
	WEIR_EXACT_EVENTS=$(EVENTS) $(GO) test -count=1 -timeout 120m -v -run 'Exact$$' ./cmd/weir/internal/simulated

.PHONY: kafka
kafka: ## run an Apache Kafka on 127.0.0.1:9092 to try weir on (KAFKA_PORT; needs Java 17 and Maven)
	.ci/kafka run

.PHONY: scenarios
scenarios: ## play the scenario files on the simulator, the embedded broker and Kafka
	$(GO) test -count=1 -v -run Scenario ./...

.PHONY: rewrite
rewrite: ## write anew what tests compare with: scenario prints, help, openapi.json; then look at git diff
	@for p in $$(grep -rlw -e '-rewrite' -e '"rewrite"' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		echo "$(GO) test $$p -rewrite"; $(GO) test -count=1 "$$p" -rewrite; \
	done
	@git status --short

.PHONY: fuzz
fuzz: ## run every fuzzer for FUZZTIME (20s)
	@$(GO) test -list '^Fuzz' ./... | awk '/^Fuzz/ { names = names " " $$1 } /^ok/ { n = split(names, f, " "); for (i = 1; i <= n; i++) print $$2, f[i]; names = "" }' | \
	while read -r pkg name; do \
		echo "== $$pkg $$name"; $(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$pkg" < /dev/null; \
	done

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
