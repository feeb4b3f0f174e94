//! Typed access to jemalloc's controls: what safe code may say, and what it cannot reach.

#[path = "support/process.rs"]
mod process;

alloc_switch::global_allocator!(static ALLOCATOR, conf = alloc_switch::conf::PROFILING_ARMED);

#[test]
#[cfg(not(any(alloc_switch_jemalloc, alloc_switch_malloc)))]
fn another_allocator_has_no_controls() {
    use alloc_switch::Error::Unsupported;

    assert_eq!(ALLOCATOR.read_control::<u64>("epoch"), Err(Unsupported));
    assert_eq!(ALLOCATOR.write_control("epoch", 1_u64), Err(Unsupported));
    assert_eq!(ALLOCATOR.call_control("thread.idle"), Err(Unsupported));
    // SAFETY: there is nothing that could be reached.
    unsafe {
        assert_eq!(ALLOCATOR.write_any_control("epoch", 1_u64), Err(Unsupported));
        assert_eq!(ALLOCATOR.call_any_control("arena.0.reset"), Err(Unsupported));
    }
}

#[cfg(any(alloc_switch_jemalloc, alloc_switch_malloc))]
mod jemalloc {
    use alloc_switch::Error::{self, *};

    use super::process::{in_bare_thread, in_fork};
    use super::ALLOCATOR;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Type {
        Bool,
        U32,
        U64,
        I64,
        Usize,
        Isize,
        Text,
        /// Nothing is read.
        None,
    }
    use Type::*;

    impl Type {
        fn size(self) -> usize {
            match self {
                Bool => 1,
                U32 => 4,
                U64 | I64 => 8,
                Usize | Isize | Text => size_of::<usize>(),
                None => 0,
            }
        }
    }

    /// jemalloc's manual, with a number for each `<i>`. Those in the last column belong to the
    /// feature; without it they are not there.
    const MANUAL: &[(&str, Type, &str)] = &[
        ("version", Text, ""),
        ("epoch", U64, ""),
        ("background_thread", Bool, "threads"),
        ("max_background_threads", Usize, "threads"),
        ("config.debug", Bool, ""),
        ("config.fill", Bool, ""),
        ("config.lazy_lock", Bool, ""),
        ("config.malloc_conf", Text, ""),
        ("config.prof", Bool, ""),
        ("config.prof_libgcc", Bool, ""),
        ("config.prof_libunwind", Bool, ""),
        ("config.stats", Bool, ""),
        ("config.utrace", Bool, ""),
        ("config.xmalloc", Bool, ""),
        ("opt.abort", Bool, ""),
        ("opt.confirm_conf", Bool, ""),
        ("opt.abort_conf", Bool, ""),
        ("opt.metadata_thp", Text, ""),
        ("opt.retain", Bool, ""),
        ("opt.dss", Text, ""),
        ("opt.narenas", U32, ""),
        ("opt.oversize_threshold", Usize, ""),
        ("opt.percpu_arena", Text, ""),
        ("opt.background_thread", Bool, ""),
        ("opt.max_background_threads", Usize, ""),
        ("opt.dirty_decay_ms", Isize, ""),
        ("opt.muzzy_decay_ms", Isize, ""),
        ("opt.lg_extent_max_active_fit", Usize, ""),
        ("opt.stats_print", Bool, ""),
        ("opt.stats_print_opts", Text, ""),
        ("opt.stats_interval", I64, ""),
        ("opt.stats_interval_opts", Text, ""),
        ("opt.junk", Text, ""),
        ("opt.zero", Bool, ""),
        ("opt.tcache", Bool, ""),
        ("opt.tcache_max", Usize, ""),
        ("opt.thp", Text, ""),
        ("opt.prof", Bool, "profiling"),
        ("opt.prof_prefix", Text, "profiling"),
        ("opt.prof_active", Bool, "profiling"),
        ("opt.prof_thread_active_init", Bool, "profiling"),
        ("opt.lg_prof_sample", Usize, "profiling"),
        ("opt.prof_accum", Bool, "profiling"),
        ("opt.lg_prof_interval", Isize, "profiling"),
        ("opt.prof_gdump", Bool, "profiling"),
        ("opt.prof_final", Bool, "profiling"),
        ("opt.prof_leak", Bool, "profiling"),
        ("opt.zero_realloc", Text, ""),
        ("thread.arena", U32, ""),
        // These two are counted without the feature too.
        ("thread.allocated", U64, ""),
        ("thread.deallocated", U64, ""),
        ("thread.peak.read", U64, "stats"),
        ("thread.tcache.enabled", Bool, ""),
        ("thread.tcache.flush", None, ""),
        ("thread.prof.active", Bool, "profiling"),
        ("thread.idle", None, ""),
        ("arena.0.initialized", Bool, ""),
        ("arena.0.decay", None, ""),
        ("arena.0.purge", None, ""),
        ("arena.0.dirty_decay_ms", Isize, ""),
        ("arena.0.muzzy_decay_ms", Isize, ""),
        ("arena.0.retain_grow_limit", Usize, ""),
        ("arenas.narenas", U32, ""),
        ("arenas.dirty_decay_ms", Isize, ""),
        ("arenas.muzzy_decay_ms", Isize, ""),
        ("arenas.quantum", Usize, ""),
        ("arenas.page", Usize, ""),
        ("arenas.tcache_max", Usize, ""),
        ("arenas.nbins", U32, ""),
        ("arenas.nhbins", U32, ""),
        ("arenas.bin.0.size", Usize, ""),
        ("arenas.bin.0.nregs", U32, ""),
        ("arenas.bin.0.slab_size", Usize, ""),
        ("arenas.nlextents", U32, ""),
        ("arenas.lextent.0.size", Usize, ""),
        ("prof.thread_active_init", Bool, "profiling"),
        ("prof.active", Bool, "profiling"),
        ("prof.gdump", Bool, "profiling"),
        ("prof.lg_sample", Usize, "profiling"),
        ("prof.interval", U64, "profiling"),
        ("stats.allocated", Usize, "stats"),
        ("stats.active", Usize, "stats"),
        ("stats.metadata", Usize, "stats"),
        ("stats.resident", Usize, "stats"),
        ("stats.mapped", Usize, "stats"),
        ("stats.retained", Usize, "stats"),
        ("stats.zero_reallocs", Usize, "stats"),
        ("stats.background_thread.num_threads", Usize, "stats"),
        ("stats.background_thread.num_runs", U64, "stats"),
        ("stats.background_thread.run_interval", U64, "stats"),
        ("stats.mutexes.ctl.num_ops", U64, "stats"),
        ("stats.arenas.0.dirty_decay_ms", Isize, ""),
        ("stats.arenas.0.nthreads", U32, ""),
        ("stats.arenas.0.uptime", U64, ""),
        ("stats.arenas.0.pactive", Usize, ""),
        ("stats.arenas.0.pdirty", Usize, ""),
        ("stats.arenas.0.mapped", Usize, "stats"),
        ("stats.arenas.0.small.allocated", Usize, "stats"),
        ("stats.arenas.0.small.nmalloc", U64, "stats"),
        ("stats.arenas.0.large.allocated", Usize, "stats"),
        ("stats.arenas.0.bins.0.nmalloc", U64, "stats"),
        ("stats.arenas.0.bins.0.curregs", Usize, "stats"),
        ("stats.arenas.0.lextents.0.nmalloc", U64, "stats"),
    ];

    /// Controls of the manual that take a pointer, or memory that is in use, or write a file.
    const UNSAFE: &[&str] = &[
        "tcache.create",
        "tcache.flush",
        "tcache.destroy",
        "thread.tcache.ncached_max.write",
        "arena.0.reset",
        "arena.0.destroy",
        "arena.0.name",
        "arena.0.extent_hooks",
        "arena.4096.reset",
        "arena.4096.destroy",
        "arena.+0.reset",
        "arena.00.destroy",
        "arenas.create",
        "arena.0.retain_grow_limit",
        "max_background_threads",
        "thread.prof.name",
        "arenas.lookup",
        "prof.dump",
        "prof.gdump",
        "prof.prefix",
        "experimental.hooks.install",
        "experimental.hooks.remove",
        "experimental.hooks.prof_backtrace",
        "experimental.hooks.prof_dump",
        "experimental.hooks.prof_sample",
        "experimental.hooks.prof_sample_free",
        "experimental.hooks.safety_check_abort",
        "experimental.hooks.thread_event",
        "experimental.utilization.query",
        "experimental.utilization.batch_query",
        "experimental.arenas.0.pactivep",
        "experimental.arenas_create_ext",
        "experimental.prof_recent.alloc_max",
        "experimental.prof_recent.alloc_dump",
        "experimental.batch_alloc",
    ];

    const HOSTILE: &[&str] = &[
        "",
        ".",
        "..",
        "arena",
        "arena.",
        "arena..purge",
        "arena.0",
        "arena.0.",
        "arena.-1.purge",
        "arena.x.purge",
        "arena.0x0.purge",
        "arena.4294967296.purge",
        "arena.18446744073709551616.purge",
        "arena.0.purge.purge",
        "arena.\u{661}.purge",
        "thread",
        "thread.tcache",
        "stats.arenas.4294967296.pactive",
        "stats.arenas.18446744073709551616.pactive",
        "arenas.bin.4096.size",
        "arenas.bin.-1.size",
        "arenas.lextent.18446744073709551615.size",
        "opt.",
        "opt.narenas\0",
        "\0",
        "Epoch",
        " epoch",
        "epoch ",
        "größe",
        "\u{10ffff}",
    ];

    fn read_each(name: &str) -> [(Type, Result<(), Error>); 7] {
        [
            (Bool, ALLOCATOR.read_control::<bool>(name).map(drop)),
            (U32, ALLOCATOR.read_control::<u32>(name).map(drop)),
            (U64, ALLOCATOR.read_control::<u64>(name).map(drop)),
            (I64, ALLOCATOR.read_control::<i64>(name).map(drop)),
            (Usize, ALLOCATOR.read_control::<usize>(name).map(drop)),
            (Isize, ALLOCATOR.read_control::<isize>(name).map(drop)),
            (Text, ALLOCATOR.read_control::<String>(name).map(drop)),
        ]
    }

    fn write_each(name: &str) -> Vec<Result<(), Error>> {
        let mut answers =
            vec![ALLOCATOR.write_control(name, true), ALLOCATOR.write_control(name, false)];
        for n in [0, 1, 12, 4096, u32::MAX] {
            answers.push(ALLOCATOR.write_control(name, n));
        }
        for n in [0, 1, 63, 64, 4096, u64::MAX / 2, u64::MAX] {
            answers.push(ALLOCATOR.write_control(name, n));
            answers.push(ALLOCATOR.write_control(name, n as i64));
            answers.push(ALLOCATOR.write_control(name, n as usize));
            answers.push(ALLOCATOR.write_control(name, n as isize));
        }
        for text in ["", "name", "\u{e9}\t\n", "a\0b", &"x".repeat(100_000)] {
            answers.push(ALLOCATOR.write_control(name, text.to_owned()));
        }
        answers
    }

    /// The program allocates and frees as before.
    fn works() {
        let blocks: Vec<Vec<u8>> =
            (0..64).map(|n| std::hint::black_box(vec![1; 1 << (n % 22)])).collect();
        assert_eq!(blocks.iter().map(Vec::len).max(), Some(1 << 21));
        in_bare_thread(move || drop(blocks)); // in a forked child too
    }

    #[test]
    fn each_control_is_read_as_its_type_and_as_no_other_size() {
        for &(name, kind, feature) in MANUAL {
            let there = match feature {
                "stats" => cfg!(feature = "stats"),
                "profiling" => cfg!(feature = "profiling"),
                "threads" => cfg!(all(target_os = "linux", target_env = "gnu")),
                _ => cfg!(feature = "stats") || !name.starts_with("stats."),
            };
            for (asked, answer) in read_each(name) {
                match answer {
                    // `*.arenas.0` may be an arena that is not in use yet.
                    Err(Jemalloc(14)) if name.starts_with("arena.0.") => {}
                    _ if there && asked == kind => assert_eq!(answer, Ok(()), "{name}: {asked:?}"),
                    // Numbers of one size cannot be told apart; a text is nothing else.
                    Ok(()) => {
                        assert!(asked != Text && asked.size() == kind.size(), "{name}: {asked:?}")
                    }
                    Err(WrongType) => {}
                    Err(UnknownControl | MissingFeature("stats")) => assert!(!there, "{name}"),
                    // EPERM: a control that is only called.
                    Err(Jemalloc(1)) => assert_eq!(kind, None, "{name}"),
                    Err(other) => panic!("{name} as {asked:?}: {other:?}"),
                }
            }
        }
    }

    /// With more than it has room for, jemalloc would look beyond its list, and with a number that a
    /// `double` cannot tell from one, divide by zero.
    #[test]
    fn arenas_and_rates_have_a_limit() {
        let child = || {
            let create = || ALLOCATOR.read_control::<u32>("arenas.create");
            let made = (0..5000).map_while(|_| create().ok()).count();
            assert_eq!(ALLOCATOR.read_control::<u32>("arenas.narenas"), Ok(1000));
            assert_eq!(create(), Err(Jemalloc(12)));
            works();
            u8::from(made > 900)
        };
        assert_eq!(in_fork(child), 1);
        let by_name = ALLOCATOR.write_control("prof.reset", 54_usize);
        assert_eq!(by_name, Err(UnsafeControl));
        let child = || {
            let reset = ALLOCATOR.reset_profile(Some(u32::MAX));
            let rate = ALLOCATOR.read_control::<usize>("prof.lg_sample");
            u8::from(reset.is_err() || rate == Ok(53.min(usize::BITS as usize - 1)))
        };
        assert_eq!(in_fork(child), 1);
    }

    /// jemalloc would follow a null pointer under `tcache:false`.
    #[test]
    fn the_size_of_the_threads_cache_is_not_read() {
        for (asked, answer) in read_each("thread.tcache.max") {
            assert!(matches!(answer, Err(UnsafeControl | WrongType)), "{asked:?}: {answer:?}");
        }
    }

    /// jemalloc would answer without a value.
    #[test]
    fn what_is_called_when_it_is_read_is_not_read() {
        for name in ["stats.mutexes.reset", "prof.log_stop"] {
            for (asked, answer) in read_each(name) {
                let refused = matches!(answer, Err(Jemalloc(1) | MissingFeature("stats")));
                assert!(refused, "{name} as {asked:?}: {answer:?}");
            }
        }
    }

    /// Its memory may be freed before it is copied.
    #[test]
    fn the_name_of_a_thread_is_not_read() {
        assert_eq!(ALLOCATOR.read_control::<String>("thread.prof.name"), Err(WrongType));
    }

    /// Reading it takes a buffer that this crate does not hand over.
    #[test]
    fn names_of_arenas_are_not_read() {
        for name in ["arena.0.name", "arena.1.name", "arena.+0.name", "arena.00.name"] {
            for (kind, answer) in read_each(name) {
                assert!(matches!(answer, Err(UnsafeControl | UnknownControl)), "{name} {kind:?}");
            }
        }
    }

    #[test]
    fn no_name_is_too_strange() {
        let long = ["x".repeat(10 << 10), "arena.".repeat(2000), "9".repeat(10 << 10)];
        let arena = format!("arena.{}.purge", "9".repeat(10 << 10));
        let names = HOSTILE.iter().copied().chain(long.iter().map(String::as_str)).chain([&*arena]);
        for name in names {
            for (kind, answer) in read_each(name) {
                assert!(answer.is_err(), "{name:.100} as {kind:?}");
            }
            assert!(write_each(name).iter().all(Result::is_err), "{name:.100}");
            assert!(ALLOCATOR.call_control(name).is_err(), "{name:.100}");
        }
        works();
    }

    #[test]
    fn safe_code_does_not_reach_what_is_unsafe() {
        for name in UNSAFE {
            for answer in write_each(name) {
                assert_eq!(answer, Err(UnsafeControl), "{name}");
            }
            assert_eq!(ALLOCATOR.call_control(name), Err(UnsafeControl), "{name}");
        }
        // Reading may answer, and does no harm.
        for name in UNSAFE.iter().filter(|name| **name != "arena.0.name") {
            let _ = read_each(name);
        }
        works();
    }

    /// In a child, because the process is another one afterwards: with whatever values.
    #[test]
    #[cfg(target_os = "linux")]
    fn every_safe_write_and_call_is_harmless() {
        const WRITABLE: &[&str] = &[
            "epoch",
            "background_thread",
            "thread.tcache.enabled",
            "thread.prof.active",
            "prof.active",
            "prof.thread_active_init",
            "arenas.dirty_decay_ms",
            "arenas.muzzy_decay_ms",
        ];
        const OF_AN_ARENA: &[&str] = &["dirty_decay_ms", "muzzy_decay_ms", "oversize_threshold"];
        const CALLABLE: &[&str] = &[
            "thread.tcache.flush",
            "thread.idle",
            "thread.peak.reset",
            "prof.reset",
            "stats.mutexes.reset",
        ];
        let child = || {
            let mut written = 0;
            let mut write = |name: &str| {
                for answer in write_each(name) {
                    assert_ne!(answer, Err(UnsafeControl), "{name}");
                    written += usize::from(answer.is_ok());
                }
                works();
            };
            WRITABLE.iter().copied().for_each(&mut write);
            let _ = ALLOCATOR.write_control("prof.active", false);
            let arenas = ALLOCATOR.read_control::<u32>("arenas.narenas").unwrap();
            let created = ALLOCATOR.read_control::<u32>("arenas.create").unwrap();
            assert!(created >= arenas);
            for arena in [0, 1, arenas - 1, created, created + 1, 4094] {
                for name in OF_AN_ARENA {
                    write(&format!("arena.{arena}.{name}"));
                }
                for name in ["decay", "purge"] {
                    let answer = ALLOCATOR.call_control(&format!("arena.{arena}.{name}"));
                    assert_ne!(answer, Err(UnsafeControl));
                }
            }
            // Each arena, the one for huge blocks and the one just made too.
            for arena in 0..created + 2 {
                in_bare_thread(|| {
                    let _ = ALLOCATOR.write_control("thread.arena", arena);
                    works();
                    let large = std::hint::black_box(vec![1_u8; 16 << 20]);
                    let _ = ALLOCATOR.purge();
                    drop(large);
                });
            }
            for name in CALLABLE {
                let answer = ALLOCATOR.call_control(name);
                assert_ne!(answer, Err(UnsafeControl), "{name}");
                works();
            }
            assert_eq!(ALLOCATOR.call_control("arena.4096.purge"), Ok(()));
            assert_eq!(ALLOCATOR.call_control("arena.4096.decay"), Ok(()));
            assert_eq!(ALLOCATOR.self_check(), Ok(()));
            u8::from(written > 20)
        };
        assert_eq!(in_fork(child), 1);
    }

    #[test]
    fn a_wrong_type_is_not_written() {
        assert_eq!(ALLOCATOR.write_control("epoch", 1_u32), Err(WrongType));
        assert_eq!(ALLOCATOR.write_control("epoch", 1_i64), Err(WrongType));
        assert_eq!(ALLOCATOR.write_control("epoch", "1".to_owned()), Err(WrongType));
        assert_eq!(ALLOCATOR.write_control("epoch", 1_u64), Ok(()));
        assert_eq!(ALLOCATOR.write_control("arenas.dirty_decay_ms", 1_usize), Err(WrongType));
        assert_eq!(ALLOCATOR.write_control("thread.tcache.enabled", 1_u32), Err(WrongType));
        // Nothing to write to.
        assert_eq!(ALLOCATOR.write_control("version", String::new()), Err(UnsafeControl));
        assert_eq!(ALLOCATOR.write_control("arenas.page", 1_usize), Err(UnsafeControl));
    }

    #[test]
    fn what_is_written_is_read() {
        let name = "arena.0.dirty_decay_ms";
        let before = ALLOCATOR.read_control::<isize>(name).unwrap();
        ALLOCATOR.write_control(name, 1234_isize).unwrap();
        assert_eq!(ALLOCATOR.read_control::<isize>(name), Ok(1234));
        ALLOCATOR.write_control(name, before).unwrap();
        assert_eq!(ALLOCATOR.read_control("config.stats"), Ok(cfg!(feature = "stats")));
        assert_eq!(ALLOCATOR.read_control("config.prof"), Ok(cfg!(feature = "profiling")));
        let version = ALLOCATOR.read_control::<String>("version").unwrap();
        assert!(version.starts_with(ALLOCATOR.choice().version().unwrap()), "{version}");
    }
}
