#![no_main]

libfuzzer_sys::fuzz_target!(|input: tvar_fuzz::tree::Input| tvar_fuzz::tree::run(&input));
