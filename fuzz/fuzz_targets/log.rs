#![no_main]

libfuzzer_sys::fuzz_target!(|input: tvar_fuzz::log::Input| tvar_fuzz::log::run(&input));
