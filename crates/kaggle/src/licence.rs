//! The licences that Kaggle offers, by display string and by id, as SPDX identifiers.

/// The SPDX identifier of a licence as Kaggle displays or abbreviates it; none for what has none (custom terms, unknown).
pub fn spdx(name: &str) -> Option<&'static str> {
    let key = key(name);
    TABLE
        .iter()
        .find(|(identifier, names)| self::key(identifier) == key || names.contains(&key.as_str()))
        .map(|(identifier, _)| *identifier)
}

/// The letters and digits of a name in small letters: displays differ in case, spaces, commas and dots.
fn key(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// Identifiers, and the keys of the other ways to write them.
const TABLE: &[(&str, &[&str])] = &[
    (
        "CC0-1.0",
        &[
            "cc0publicdomain",
            "cc0",
            "cc010publicdomain",
            "creativecommonszero",
            "cc0publicdomaindedication",
        ],
    ),
    (
        "CC-BY-4.0",
        &[
            "attribution40internationalccby40",
            "attribution40international",
            "creativecommonsattribution40international",
        ],
    ),
    (
        "CC-BY-3.0",
        &["attribution30unportedccby30", "attribution30unported"],
    ),
    (
        "CC-BY-3.0-IGO",
        &["attribution30igoccby30igo", "attribution30igo"],
    ),
    (
        "CC-BY-SA-4.0",
        &[
            "attributionsharealike40internationalccbysa40",
            "attributionsharealike40international",
        ],
    ),
    (
        "CC-BY-SA-3.0",
        &[
            "attributionsharealike30unportedccbysa30",
            "attributionsharealike30unported",
        ],
    ),
    (
        "CC-BY-NC-4.0",
        &[
            "attributionnoncommercial40internationalccbync40",
            "attributionnoncommercial40international",
        ],
    ),
    (
        "CC-BY-NC-3.0-IGO",
        &[
            "attributionnoncommercial30igoccbync30igo",
            "attributionnoncommercial30igo",
        ],
    ),
    (
        "CC-BY-NC-SA-4.0",
        &[
            "attributionnoncommercialsharealike40internationalccbyncsa40",
            "attributionnoncommercialsharealike40international",
        ],
    ),
    (
        "CC-BY-NC-SA-3.0-IGO",
        &[
            "attributionnoncommercialsharealike30igoccbyncsa30igo",
            "attributionnoncommercialsharealike30igo",
        ],
    ),
    (
        "CC-BY-ND-4.0",
        &[
            "attributionnoderivatives40internationalccbynd40",
            "attributionnoderivatives40international",
        ],
    ),
    (
        "CC-BY-NC-ND-4.0",
        &[
            "attributionnoncommercialnoderivatives40internationalccbyncnd40",
            "attributionnoncommercialnoderivatives40international",
        ],
    ),
    (
        "ODbL-1.0",
        &[
            "databaseopendatabasecontentsoriginalauthors",
            "odbl",
            "opendatabaselicense",
            "opendatabaselicenseodbl",
            "databaseopendatabase",
            "opendatabaselicenseodbl10",
        ],
    ),
    (
        "DbCL-1.0",
        &[
            "databaseopendatabasecontentsdatabasecontents",
            "dbcl",
            "databasecontentslicensedbcl10",
            "databasecontentslicense",
        ],
    ),
    (
        "PDDL-1.0",
        &[
            "odcpublicdomaindedicationandlicencepddl",
            "pddl",
            "odcpublicdomaindedicationandlicence",
        ],
    ),
    (
        "ODC-By-1.0",
        &[
            "odcattributionlicenseodcby",
            "odcby",
            "odcattributionlicense",
        ],
    ),
    (
        "GPL-2.0-only",
        &["gpl2", "gpl20", "gplv2", "gnugeneralpubliclicense20"],
    ),
    (
        "GPL-3.0-only",
        &["gpl3", "gpl30", "gplv3", "gnugeneralpubliclicense30"],
    ),
    (
        "LGPL-3.0-only",
        &["lgpl30", "lgpl3", "gnulessergeneralpubliclicense30"],
    ),
    (
        "AGPL-3.0-only",
        &["agpl30", "agpl3", "gnuafferogeneralpubliclicense30"],
    ),
    (
        "GFDL-1.3-only",
        &["gfdl13", "gnufreedocumentationlicense13"],
    ),
    ("Apache-2.0", &["apache2", "apachelicense20"]),
    ("MIT", &["mitlicense", "themitlicense"]),
    ("BSD-3-Clause", &["bsd3clausenewlicense", "bsd3"]),
    ("BSD-2-Clause", &["bsd2"]),
    (
        "CDLA-Permissive-1.0",
        &[
            "communitydatalicenseagreementpermissiveversion10",
            "communitydatalicensepermissive",
        ],
    ),
    (
        "CDLA-Sharing-1.0",
        &[
            "communitydatalicenseagreementsharingversion10",
            "communitydatalicensesharing",
        ],
    ),
    ("EUPL-1.2", &["eupl"]),
    ("ISC", &["isclicense"]),
    ("MPL-2.0", &["mozillapubliclicense20"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_and_ids_become_spdx_identifiers() {
        for (name, identifier) in [
            ("CC0: Public Domain", "CC0-1.0"),
            ("CC0-1.0", "CC0-1.0"),
            ("Attribution 4.0 International (CC BY 4.0)", "CC-BY-4.0"),
            ("CC BY 4.0", "CC-BY-4.0"),
            ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
            ("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
            (
                "Attribution-NonCommercial 4.0 International (CC BY-NC 4.0)",
                "CC-BY-NC-4.0",
            ),
            (
                "Database: Open Database, Contents: Database Contents",
                "DbCL-1.0",
            ),
            (
                "Database: Open Database, Contents: © Original Authors",
                "ODbL-1.0",
            ),
            ("GPL 2", "GPL-2.0-only"),
            ("GNU Lesser General Public License 3.0", "LGPL-3.0-only"),
            ("Apache 2.0", "Apache-2.0"),
            ("apache-2.0", "Apache-2.0"),
            (
                "ODC Public Domain Dedication and Licence (PDDL)",
                "PDDL-1.0",
            ),
            (
                "Community Data License Agreement - Sharing - Version 1.0",
                "CDLA-Sharing-1.0",
            ),
            ("MIT", "MIT"),
        ] {
            assert_eq!(spdx(name), Some(identifier), "{name}");
        }
    }

    #[test]
    fn what_is_no_licence_stays_none() {
        for name in [
            "",
            "Unknown",
            "unknown",
            "Other (specified in description)",
            "Data files © Original Authors",
            "World Bank Dataset Terms of Use",
            "!",
        ] {
            assert_eq!(spdx(name), None, "{name}");
        }
    }

    #[test]
    fn no_name_stands_for_two_licences() {
        let mut keys: Vec<String> = TABLE
            .iter()
            .flat_map(|(identifier, names)| {
                names
                    .iter()
                    .map(|name| (*name).to_owned())
                    .chain([key(identifier)])
            })
            .collect();
        keys.sort();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count);
        for (_, names) in TABLE {
            assert!(names.iter().all(|name| key(name) == *name), "{names:?}");
        }
    }
}
