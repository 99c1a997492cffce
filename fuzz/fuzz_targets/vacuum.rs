#![no_main]

libfuzzer_sys::fuzz_target!(|input: tvar_fuzz::vacuum::Input| tvar_fuzz::vacuum::run(&input));
