# Bulkhead. Two commands for newcomers: `make run` protects this machine, `make test` proves everything.
BUILD ?= build
PREFIX ?= /usr

all: $(BUILD)/build.ninja ## build the four programs into build/
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/install-packages build
	@meson setup $(BUILD) --prefix $(PREFIX) >/dev/null

run: all ## install what is missing, build, start console and agent for this host
	@tools/install-packages run
	@tools/run $(BUILD)

demo: all ## a guided run of a few minutes on a private engine
	@tools/install-packages run test
	@tools/demo $(BUILD)

test: ## unit, fuzz, integration and VM tests; PART="unit fuzz" runs some of them
	@tools/test $(PART)

bench: all ## the benchmarks, each against a baseline in the same run
	@tools/install-packages test bench
	@cd test && { [ -e node_modules/.ready ] || { npm ci --silent && : >node_modules/.ready; }; }
	@tools/bench $(BUILD)

install: all ## install below PREFIX (DESTDIR honoured)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

deb: ## build packaging/out/*.deb
	@tools/install-packages build deb
	@packaging/debian/build

format: ## lay out the sources with clang-format
	@git ls-files 'src/*.c' 'src/*.h' 'bpf/*.c' 'bpf/*.h' | grep -v '[.]tbl[.]h$$' | xargs clang-format -i

coverage: ## line coverage of the unit tests
	@tools/install-packages build test
	@[ -d $(BUILD)/coverage ] || meson setup $(BUILD)/coverage -Db_coverage=true >/dev/null
	@meson test -C $(BUILD)/coverage --suite unit && gcovr --root . --filter src/ --exclude '.*_test.c' $(BUILD)/coverage

clean: ## remove build/
	@rm -rf $(BUILD)

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

.PHONY: all run demo test bench install deb format coverage clean help
