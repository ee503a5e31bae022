# Terraform 1.11 is the first with write-only arguments, by which secrets stay out of
# state and plan. There is no backend here: each installation names its own bucket in
# backend.tf (README, step 5).
terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.45"
    }
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.7"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.13"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
  # The budget API is billed to a project of one's own; an admin's login has none.
  billing_project       = var.project_id
  user_project_override = true
  default_labels        = { app = "erp-calendar" }
}

data "google_project" "this" {
  project_id = var.project_id
}
