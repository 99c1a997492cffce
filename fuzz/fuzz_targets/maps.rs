#![no_main]

libfuzzer_sys::fuzz_target!(|input: tvar_fuzz::maps::Input| tvar_fuzz::maps::run(&input));
