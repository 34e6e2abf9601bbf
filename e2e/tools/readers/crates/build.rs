//! Extracts the code for notarization from tools that compile it only on macOS. The items below lose some
//! attributes, and an enum `Error` keeps only the variants that they use. Otherwise, they stay unchanged.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use quote::{ToTokens as _, quote};
use syn::Item;

/// One source file of a crate.
struct Source {
    package: &'static str,
    file: &'static str,
    /// Functions, types and traits (with their implementations), by name.
    items: &'static [&'static str],
    /// The variants to keep of an enum `Error`.
    errors: &'static [&'static str],
}

/// The sources of each generated file.
const TOOLS: &[(&str, &[Source])] = &[
    (
        "tauri.rs",
        &[
            Source {
                package: "tauri-bundler",
                file: "src/bundle/macos/sign.rs",
                items: &["notarize_auth", "find_api_key"],
                errors: &[],
            },
            Source {
                package: "tauri-bundler",
                file: "src/error.rs",
                items: &["NotarizeAuthError"],
                errors: &[],
            },
        ],
    ),
    (
        "tauri_macos_sign.rs",
        &[Source {
            package: "tauri-macos-sign",
            file: "src/lib.rs",
            items: &["ApiKey", "AppleNotarizationCredentials", "NotarytoolCmdExt", "Error", "Result"],
            errors: &["Fs"],
        }],
    ),
    (
        "cargo_packager.rs",
        &[
            Source {
                package: "cargo-packager",
                file: "src/codesign/macos.rs",
                items: &["notarize_auth", "find_api_key", "NotarytoolCmdExt"],
                errors: &[],
            },
            Source {
                package: "cargo-packager",
                file: "src/config/mod.rs",
                items: &["MacOsNotarizationCredentials"],
                errors: &[],
            },
            Source {
                package: "cargo-packager",
                file: "src/error.rs",
                items: &["Error", "Result"],
                errors: &["ApiKeyMissing", "MissingNotarizeAuthVars"],
            },
        ],
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
    let packages = packages()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    for (to, sources) in TOOLS {
        let mut text = String::new();
        for source in *sources {
            let package = packages
                .get(source.package)
                .ok_or_else(|| format!("Cargo.lock has no package {}", source.package))?;
            text.push_str(&source.extract(&package.folder)?);
        }
        fs::write(out.join(to), text)?;
    }
    for (name, package) in packages {
        if TOOLS.iter().any(|(_, sources)| sources.iter().any(|source| source.package == name))
            || name == "app-store-connect"
        {
            let name = name.to_uppercase().replace('-', "_");
            println!("cargo::rustc-env={name}_VERSION={}", package.version);
        }
    }
    Ok(())
}

struct Package {
    folder: PathBuf,
    version: String,
}

/// The packages in Cargo.lock, with the folders that Cargo extracted them to.
fn packages() -> Result<BTreeMap<String, Package>, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").ok_or("CARGO is not set")?;
    let metadata =
        Command::new(cargo).args(["metadata", "--format-version=1", "--locked", "--offline"]).output()?;
    if !metadata.status.success() {
        return Err(String::from_utf8_lossy(&metadata.stderr).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)?;
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().ok_or("no packages")? {
        let text = |name: &str| package[name].as_str().ok_or_else(|| format!("a package without {name}"));
        let folder =
            Path::new(text("manifest_path")?).parent().ok_or("a manifest without a folder")?.to_owned();
        packages.insert(text("name")?.to_owned(), Package { folder, version: text("version")?.to_owned() });
    }
    Ok(packages)
}

impl Source {
    fn extract(&self, folder: &Path) -> Result<String, Box<dyn Error>> {
        let file = syn::parse_file(&fs::read_to_string(folder.join(self.file))?)?;
        let mut extracted = Vec::new();
        let mut text = String::new();
        for mut item in file.items {
            let name = match &item {
                Item::Fn(item) => item.sig.ident.to_string(),
                Item::Enum(item) => item.ident.to_string(),
                Item::Trait(item) => item.ident.to_string(),
                Item::Type(item) => item.ident.to_string(),
                Item::Impl(item) => match &item.trait_ {
                    Some((_, path, _)) => path.to_token_stream().to_string(),
                    None => continue,
                },
                _ => continue,
            };
            if !self.items.contains(&name.as_str()) {
                continue;
            }
            match &mut item {
                Item::Enum(item) => {
                    // Without the condition that limits it to macOS.
                    item.attrs.retain(|attribute| !attribute.path().is_ident("cfg"));
                    if name == "Error" {
                        item.variants = std::mem::take(&mut item.variants)
                            .into_iter()
                            .filter(|variant| self.errors.contains(&variant.ident.to_string().as_str()))
                            .collect();
                    }
                }
                // `#[tracing::instrument]` only logs.
                Item::Fn(item) => item.attrs.retain(|attribute| attribute.path().segments.len() == 1),
                _ => {}
            }
            text.push_str(&quote!(#item).to_string());
            text.push('\n');
            extracted.push(name);
        }
        for name in self.items {
            if !extracted.contains(&(*name).to_owned()) {
                return Err(format!("{} has no {name} in {}", self.package, self.file).into());
            }
        }
        Ok(text)
    }
}
