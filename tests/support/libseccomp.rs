//! libseccomp as a second opinion: it compiles a profile as runc has it do, and its verdicts are
//! compared with ours.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use knarr::plan::seccomp::Insn;
use serde_json::Value;

use super::naive;

/// The C program beside this file, built. `LIBSECCOMP=DIR` takes `DIR/include` and `DIR/lib`
/// instead of the system's: Debian 12's libseccomp 2.5 lacks some calls of the profiles in
/// tests/data, 2.6 knows them all.
pub struct Oracle(PathBuf);

/// What libseccomp makes of a profile.
pub struct Answer {
    pub program: Vec<Insn>,
    /// Names that it does not know.
    pub unknown: Vec<String>,
    /// Rules that it refused.
    pub errors: Vec<String>,
}

#[allow(clippy::disallowed_methods, reason = "a test program, not a hook")]
fn command(path: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(path)
}

fn words(value: &Value, key: &str) -> Vec<Value> {
    value[key].as_array().cloned().unwrap_or_default()
}

/// `SCMP_ARCH_*`
const TOKENS: [(&str, u32); 10] = [
    ("SCMP_ARCH_X86_64", 0xc000_003e),
    ("SCMP_ARCH_X86", 0x4000_0003),
    ("SCMP_ARCH_X32", 0x4000_003e),
    ("SCMP_ARCH_AARCH64", 0xc000_00b7),
    ("SCMP_ARCH_ARM", 0x4000_0028),
    ("SCMP_ARCH_RISCV64", 0xc000_00f3),
    ("SCMP_ARCH_LOONGARCH64", 0xc000_0102),
    ("SCMP_ARCH_PPC64LE", 0xc000_0015),
    ("SCMP_ARCH_S390X", 0x8000_0016),
    ("SCMP_ARCH_S390", 0x0000_0016),
];

fn token(arch: &str) -> Option<u32> {
    TOKENS.iter().find(|(name, _)| *name == arch).map(|(_, token)| *token)
}

impl Answer {
    /// Whether the program loads a call's number before it compares it. Where x86-64 and x32 have
    /// different calls with conditions, libseccomp 2.6.1 sometimes leaves that out, and compares
    /// the architecture.
    pub fn is_sound(&self) -> bool {
        let is_arch = |k: u32| TOKENS.iter().any(|(_, token)| *token == k);
        let tests = self.program.iter().enumerate().filter(|(_, insn)| insn.code == 0x15 && is_arch(insn.k));
        tests.map(|(at, insn)| &self.program[at + 1 + usize::from(insn.jt)]).all(|insn| insn.code != 0x15)
    }
}

impl Oracle {
    pub fn build() -> Oracle {
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libseccomp-oracle");
        let mut cc = command("cc");
        cc.arg("-O1").arg("-o").arg(&out);
        cc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/libseccomp.c"));
        if let Ok(dir) = std::env::var("LIBSECCOMP") {
            cc.args([format!("-I{dir}/include"), format!("-L{dir}/lib"), format!("-Wl,-rpath,{dir}/lib")]);
        }
        assert!(cc.arg("-lseccomp").status().expect("a C compiler").success());
        Oracle(out)
    }

    /// The filter for the machine whose own architecture is `native`.
    pub fn compile(&self, native: &str, profile: &Value, optimize: u32) -> Answer {
        let action = |value: &Value, name: &str, errno: &str| {
            naive::action(value[name].as_str().expect("action"), value[errno].as_u64())
        };
        let own = token(native).expect("native");
        let default = action(profile, "defaultAction", "defaultErrnoRet");
        let mut input = format!("default {default} optimize {optimize} native {own}\n");
        // Only the machine's own family: libseccomp refuses to mix byte orders, and others are of
        // no use.
        const FAMILIES: [&[u32]; 3] = [
            &[0xc000_003e, 0x4000_0003, 0x4000_003e],
            &[0xc000_00b7, 0x4000_0028],
            &[0x8000_0016, 0x0000_0016],
        ];
        let family =
            |arch: &u32| FAMILIES.iter().any(|family| family.contains(arch) && family.contains(&own));
        for arch in words(profile, "architectures") {
            if let Some(arch) = token(arch.as_str().expect("arch")).filter(family) {
                input += &format!("arch {arch}\n");
            }
        }
        for rule in words(profile, "syscalls") {
            let args: Vec<(u64, String)> = words(&rule, "args")
                .iter()
                .map(|arg| {
                    let ops = ["", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
                    let op = arg["op"].as_str().expect("op").trim_start_matches("SCMP_CMP_");
                    let op = ops.iter().position(|known| *known == op).expect("an operator");
                    let index = arg["index"].as_u64().expect("index");
                    (
                        index,
                        format!("{index} {op} {} {}", arg["value"], arg["valueTwo"].as_u64().unwrap_or(0)),
                    )
                })
                .collect();
            let is_repeated = args.iter().any(|a| args.iter().filter(|b| a.0 == b.0).count() > 1);
            for name in words(&rule, "names") {
                let name = name.as_str().expect("name");
                let action = action(&rule, "action", "errnoRet");
                if is_repeated {
                    for (_, arg) in &args {
                        input += &format!("rule {action} {name} 1 {arg}\n");
                    }
                } else {
                    let args: Vec<&str> = args.iter().map(|arg| arg.1.as_str()).collect();
                    input += &format!("rule {action} {name} {} {}\n", args.len(), args.join(" "));
                }
            }
        }
        self.run(&input, own & 0x4000_0000 == 0)
    }

    fn run(&self, input: &str, is_big_endian: bool) -> Answer {
        let mut child = command(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the oracle runs");
        child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{:?}: {input}", output.status);
        let stderr = String::from_utf8(output.stderr).expect("text");
        let lines = |prefix: &str| {
            stderr.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect()
        };
        // A program for a machine is written as that machine would.
        let insn = |&[a, b, jt, jf, k @ ..]: &[u8; 8]| {
            let (code, k) = if is_big_endian {
                (u16::from_be_bytes([a, b]), u32::from_be_bytes(k))
            } else {
                (u16::from_le_bytes([a, b]), u32::from_le_bytes(k))
            };
            Insn { code, jt, jf, k }
        };
        Answer {
            program: output.stdout.as_chunks().0.iter().map(insn).collect(),
            unknown: lines("unknown "),
            errors: lines("error "),
        }
    }
}
