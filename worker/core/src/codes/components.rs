//! Codes of components, templates and rendering.

super::codes! {
    TEMPLATE_FAILED = "WL201", "a template could not be rendered",
        "The template named a value that does not exist, or failed otherwise. The message names the template, line and column.";
}
