// agents/web/page/css.d.ts - style sheets are bundled by esbuild; they have no names for scripts.
declare module "*.css" {}
